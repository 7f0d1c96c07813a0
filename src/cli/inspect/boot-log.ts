import { pcrsAsJson } from '../../measure/banks.js';
import { parseBootLog } from '../../measure/boot/boot-log.js';
import { replayBootLog } from '../../measure/boot/boot-replay.js';
import { readInput } from '../read-file.js';
import type { Verb } from '../verb.js';
import { showLog } from './log-text.js';

export const inspectBootLog: Verb = {
  name: 'inspect boot-log',
  summary: 'Replay the event log of the firmware, and tell what is odd in it.',
  example: 'touchmark inspect boot-log /sys/kernel/security/tpm0/binary_bios_measurements -output json',
  flags: [],
  args: [{ name: 'FILE', doc: 'The log as the kernel shows it, binary; reading the live one needs root.' }],
  run: async ({ args, out }) => {
    const log = parseBootLog(await readInput(args[0] ?? ''));
    const { pcrs, findings } = replayBootLog(log);
    showLog(out, { format: log.format, events: log.events.length, pcrs: pcrsAsJson(pcrs), findings });
    return undefined;
  },
};
