import type { OnFail } from '../policy/model.js';
import { addBoot, refusedForItsData, type SeenEvent } from './boot-events.js';
import type { Compiled } from './compile.js';
import { quoted } from './digest-text.js';
import type { BootChainContext } from './judge-boot-chain.js';
import type { CommandLine } from './state.js';
import { type Counting, counting, type Tally } from './tally.js';

const strictness: Readonly<Record<OnFail, number>> = { warn: 0, suspect: 1, drift: 2 };

/**
 * Judges each command line of a boot log. Since labels are not measured, a line can be hidden among other events: an event of
 * PCR 9 or 12 that nothing names is reported here too, unless the boot chain already answers for it as strictly.
 */
export function judgeBootCommandLines(context: BootChainContext): Tally {
  const { compiled, events, lines } = context;
  const tally = counting();
  for (const line of lines.lines) judgeLine(tally, line, compiled);
  const { bootChain, commandLine } = compiled.policy;
  const answered =
    bootChain !== undefined && strictness[bootChain.onFail] >= strictness[commandLine?.onFail ?? 'drift'];
  for (const seen of [8, 9, 12].flatMap((pcr) => events(pcr))) {
    if (refusedForItsData(tally, seen) || answered || seen.event.pcr === 8) continue;
    if (isNamed(seen, context)) continue;
    addBoot(tally, 'unknown', 'command_line_uncertain', seen, 'may be a command line: nothing names it');
  }
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

function isNamed({ digest, event }: SeenEvent, { compiled, ukis, lines }: BootChainContext): boolean {
  if (compiled.bootChain.has(digest) || lines.lines.some((line) => line.event === event.index)) return true;
  return event.pcr === 9 && ukis.initrds.has(digest);
}
