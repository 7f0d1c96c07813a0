import { createHash } from 'node:crypto';
import { TouchmarkError } from '../../errors.js';
import type { HashName } from '../../tpm/algorithms.js';
import { parseBootLog } from '../boot/boot-log.js';
import { replayBootBank } from '../boot/boot-replay.js';
import type { ComponentName } from '../policy/model.js';
import { bootCommandLines } from './boot-command-lines.js';
import { type SeenEvents, seenEvents } from './boot-events.js';
import { startedUkis } from './boot-ukis.js';
import type { Compiled } from './compile.js';
import { judgeBootChain } from './judge-boot-chain.js';
import { judgeBootCommandLines } from './judge-command-line.js';
import { judgeFirmware } from './judge-firmware.js';
import { judgeSecureBoot } from './judge-secure-boot.js';
import { type BootFacts, noBootLog } from './state.js';
import type { Tally } from './tally.js';
import { type UncertainEvents, uncertainEvents } from './uncertain-events.js';

/**
 * Reads and replays a boot log in the quoted bank, and judges its events. Nothing of it counts before a quote holds the
 * registers; a log that cannot be read is a problem, not an error.
 */
export function bootFacts(bytes: Uint8Array, bank: HashName, compiled: Compiled | undefined): BootFacts {
  const named = { length: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') };
  try {
    const log = parseBootLog(bytes);
    const replayed = replayBootBank(log, bank);
    if (!replayed) {
      const message = `the boot log has nothing for bank ${bank}`;
      return { ...noBootLog, ...named, problem: { code: 'boot_log_bank_missing', message } };
    }
    const { values: pcrs, gaps } = replayed;
    const events = seenEvents(log.events, bank);
    const counts = new Map([...pcrs.keys()].map((pcr) => [pcr, events(pcr).length]));
    return { ...judged(events, bank, compiled), ...named, pcrs, gaps: new Set(gaps.keys()), events: counts };
  } catch (error) {
    if (!(error instanceof TouchmarkError)) throw error;
    return { ...noBootLog, ...named, problem: { code: 'boot_log_unreadable', message: error.message } };
  }
}

function judged(
  events: SeenEvents,
  bank: HashName,
  compiled: Compiled | undefined,
): Pick<BootFacts, 'judged' | 'commandLines' | 'ukis' | keyof UncertainEvents> {
  if (!compiled) return noBootLog;
  const { firmware, firmwareConfig, secureBoot, bootChain, commandLine } = compiled.policy;
  const ukis = startedUkis(events, compiled, bank);
  const lines = bootCommandLines(events, compiled, ukis, bank);
  const context = { events, compiled, ukis, lines, bank };
  const tallies: Partial<Record<ComponentName, Tally>> = {};
  if (firmware) tallies['firmware'] = judgeFirmware(events, [0, 2], compiled.firmware, firmware, bank);
  if (firmwareConfig) {
    tallies['firmware-config'] = judgeFirmware(events, [1, 3], compiled.firmwareConfig, firmwareConfig, bank);
  }
  if (secureBoot) tallies['secure-boot'] = judgeSecureBoot(events, compiled, secureBoot, bank);
  if (bootChain) tallies['boot-chain'] = judgeBootChain(context);
  if (commandLine) tallies['command-line'] = judgeBootCommandLines(lines, compiled);
  const labels = ukis.measured.map(({ label }) => label).filter((label) => label !== '');
  const started = { ukis: [...new Set(labels)], commandLines: lines.lines };
  return { judged: tallies, ...started, ...uncertainEvents(context) };
}
