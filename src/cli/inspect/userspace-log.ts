import { pcrsAsJson, type ReplayedBanks } from '../../measure/banks.js';
import { parseBootLog } from '../../measure/boot/boot-log.js';
import { replayBootLog } from '../../measure/boot/boot-replay.js';
import { parseUserspaceLog } from '../../measure/userspace/userspace-log.js';
import { replayUserspaceLog } from '../../measure/userspace/userspace-replay.js';
import { readInput } from '../read-file.js';
import type { Flag, Verb } from '../verb.js';
import { showLog } from './log-text.js';

const flags: readonly Flag[] = [
  {
    name: 'bootLog',
    type: 'string',
    doc: "The firmware's log of the same boot: PCRs go on from where it ends, else from their start.",
  },
];

export const inspectUserspaceLog: Verb = {
  name: 'inspect userspace-log',
  summary: 'Replay the log of what systemd measured after boot, and tell what is odd in it.',
  example: 'touchmark inspect userspace-log /run/log/systemd/tpm2-measure.log -bootLog bios.bin',
  flags,
  args: [{ name: 'FILE', doc: 'tpm2-measure.log, as systemd writes it.' }],
  run: async (context) => {
    const log = parseUserspaceLog(await readInput(context.args[0] ?? ''));
    const { pcrs, findings } = replayUserspaceLog(log, await startOf(context.flags.string('bootLog')));
    showLog(context.out, { format: log.format, events: log.events.length, pcrs: pcrsAsJson(pcrs), findings });
    return undefined;
  },
};

async function startOf(path: string): Promise<ReplayedBanks | undefined> {
  return path === '' ? undefined : replayBootLog(parseBootLog(await readInput(path)));
}
