import type { HashName } from '../../../tpm/algorithms.js';
import { parseBootLog } from '../../boot/boot-log.js';
import { replayBootLog } from '../../boot/boot-replay.js';
import { eventType, eventTypeName } from '../../boot/event-types.js';
import { type PcrMeasurement, pcrReferences, usedBanks } from './pcr-references.js';
import { type MadeReferences, type ReferenceAbout, referenceSet } from './reference-set.js';

/** What a quote bears out of a log: these registers, in this bank. */
export interface Vouched {
  readonly bank: HashName;
  readonly pcrs: ReadonlySet<number>;
}

/**
 * What one boot of a host showed: every event's digest, in the part of the set that its PCR belongs to. A log alone
 * proves nothing: say what a quote vouches for, or take that of a host which is known to be good.
 * @throws TouchmarkError `boot_log_too_large`, `boot_log_truncated`, `boot_log_invalid`
 */
export function bootLogReferences(
  about: ReferenceAbout,
  bytes: Uint8Array,
  vouched?: Vouched,
): MadeReferences {
  const log = parseBootLog(bytes);
  const { findings } = replayBootLog(log);
  const events = log.events
    .filter(({ type }) => type !== eventType.noAction)
    .map(({ index, pcr, type, digests }) => {
      return { pcr, digests, label: `PCR ${pcr} ${eventTypeName(type)}, event ${index}` };
    });
  const measured = vouched === undefined ? events : events.flatMap((event) => vouchedFor(event, vouched));
  const { parts, left } = pcrReferences(measured);
  const notes = findings.map(({ message }) => `${about.source}: ${message}`);
  const unproven = [...new Set(events.map(({ pcr }) => pcr))].filter(
    (pcr) => vouched?.pcrs.has(pcr) === false,
  );
  if (unproven.length > 0)
    notes.push(
      `${about.source}: events of PCR ${unproven.sort((a, b) => a - b).join(', ')} are left out: no quote bears them out`,
    );
  if (left.length > 0)
    notes.push(`${about.source}: events of PCR ${left.join(', ')} are judged by no component`);
  if (usedBanks(measured).includes('sha1')) notes.push(`${about.source}: the log has SHA-1 digests only`);
  return { set: referenceSet(about, parts), notes };
}

function vouchedFor({ digests, ...event }: PcrMeasurement, { bank, pcrs }: Vouched): PcrMeasurement[] {
  const value = digests.get(bank);
  return pcrs.has(event.pcr) && value !== undefined ? [{ ...event, digests: new Map([[bank, value]]) }] : [];
}
