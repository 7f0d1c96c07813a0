import { parseBootLog } from '../../boot/boot-log.js';
import { replayBootLog } from '../../boot/boot-replay.js';
import { eventType, eventTypeName } from '../../boot/event-types.js';
import { pcrReferences, usedBanks } from './pcr-references.js';
import { type MadeReferences, type ReferenceAbout, referenceSet } from './reference-set.js';

/**
 * What one boot of a host showed: every event's digest, in the part of the set that its PCR belongs to. A log alone
 * proves nothing: take one that a quote vouched for, or that of a host which is known to be good.
 * @throws TouchmarkError `boot_log_too_large`, `boot_log_truncated`, `boot_log_invalid`
 */
export function bootLogReferences(about: ReferenceAbout, bytes: Uint8Array): MadeReferences {
  const log = parseBootLog(bytes);
  const { findings } = replayBootLog(log);
  const measured = log.events
    .filter(({ type }) => type !== eventType.noAction)
    .map(({ index, pcr, type, digests }) => {
      return { pcr, digests, label: `PCR ${pcr} ${eventTypeName(type)}, event ${index}` };
    });
  const { parts, left } = pcrReferences(measured);
  const notes = findings.map(({ message }) => `${about.source}: ${message}`);
  if (left.length > 0)
    notes.push(`${about.source}: events of PCR ${left.join(', ')} are judged by no component`);
  if (usedBanks(measured).includes('sha1')) notes.push(`${about.source}: the log has SHA-1 digests only`);
  return { set: referenceSet(about, parts), notes };
}
