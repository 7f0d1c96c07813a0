import type { HashName } from '../../tpm/algorithms.js';
import { eventTypeName } from '../boot/event-types.js';
import type { Digest, DigestRule } from '../policy/model.js';
import { addBoot, refusedForItsData, type SeenEvents, separators } from './boot-events.js';
import { counting, type Tally } from './tally.js';

/**
 * Registers of which every digest must be a reference: code of the firmware (0, 2), or its settings (1, 3). Types are not
 * measured, so leaving some out by type leaves a hole; how many events fall into it is told.
 */
export function judgeFirmware(
  events: SeenEvents,
  pcrs: readonly number[],
  accepted: ReadonlySet<Digest>,
  rule: DigestRule,
  bank: HashName,
): Tally {
  const tally = counting();
  const separator = separators(bank, tally);
  const ignored = new Map<string, number>();
  let measured = 0;
  for (const seen of pcrs.flatMap((pcr) => events(pcr))) {
    tally.check();
    if (separator.take(seen)) continue;
    measured++;
    if (refusedForItsData(tally, seen) || accepted.has(seen.digest)) continue;
    const type = eventTypeName(seen.event.type);
    if (rule.ignoreTypes.includes(type)) ignored.set(type, (ignored.get(type) ?? 0) + 1);
    else addBoot(tally, 'fail', 'event_digest_unknown', seen, 'measures what no reference names');
  }
  if (pcrs.some((pcr) => events(pcr).length > 0)) separator.end(pcrs);
  if (measured === 0) {
    const message = `nothing was measured into PCR ${pcrs.join(' and ')}`;
    tally.add('unknown', () => ({ code: 'nothing_measured', message, log: 'boot-log' }));
  }
  for (const [type, count] of ignored) {
    const message = `${count} events of type ${type} are not judged, as the policy wants`;
    tally.add('note', () => ({ code: 'events_ignored', message, log: 'boot-log' }));
  }
  return tally.done();
}
