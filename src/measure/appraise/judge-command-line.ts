import type { BootCommandLines } from './boot-command-lines.js';
import type { Compiled } from './compile.js';
import { quoted } from './digest-text.js';
import type { CommandLine } from './state.js';
import { type Counting, counting, type Tally } from './tally.js';

/** Judges each command line of a boot log. */
export function judgeBootCommandLines({ lines }: BootCommandLines, compiled: Compiled): Tally {
  const tally = counting();
  for (const line of lines) judgeLine(tally, line, compiled);
  return tally.done();
}

export function judgeLine(tally: Counting, line: CommandLine, { commandLines, policy }: Compiled): void {
  const { text, accepted, pcr, event } = line;
  const log = line.source === 'kexec' ? 'ima-list' : 'boot-log';
  const place = { log, event, pcr } as const;
  tally.check();
  if (!accepted) {
    const what = text === undefined ? 'of which only a digest is known' : quoted(text);
    const message = `the command line in event ${event} of PCR ${pcr} is not accepted: ${what}`;
    tally.add('fail', () => ({
      code: 'command_line_unknown',
      message,
      ...place,
      ...(text === undefined ? {} : { value: text.slice(0, 4096) }),
    }));
  }
  if (text === undefined) {
    const { require = [], forbid = [] } = policy.commandLine ?? {};
    if (!accepted || require.length + forbid.length === 0) return;
    const message = `the words of the command line in event ${event} of PCR ${pcr} are not known`;
    tally.add('unknown', () => ({ code: 'command_line_unreadable', message, ...place }));
    return;
  }
  for (const word of commandLines.forbidden(text)) {
    const message = `the command line in event ${event} of PCR ${pcr} has the word ${quoted(word)}`;
    tally.add('fail', () => ({ code: 'command_line_word_forbidden', message, ...place, value: word }));
  }
}
