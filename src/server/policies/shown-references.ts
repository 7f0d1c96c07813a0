import { appraise } from '../../measure/appraise/appraise.js';
import type { Evidence } from '../../measure/appraise/contract.js';
import { parseImaBinary } from '../../measure/ima/ima-binary.js';
import { bootLogReferences } from '../../measure/policy/reference-sources/boot-log-source.js';
import { imaReferences } from '../../measure/policy/reference-sources/ima-source.js';
import {
  type MadeReferences,
  type ReferenceAbout,
  referenceSet,
} from '../../measure/policy/reference-sources/reference-set.js';

/**
 * What one host showed, as references: of its boot log the events of the registers that the logs explain, of its IMA list
 * the entries that the quote covers. The rest may be anybody's words; that it is left out is told. Says nothing about
 * whether the host was good: its verdict does.
 * @throws TouchmarkError what reading the logs throws
 */
export function shownReferences(about: ReferenceAbout, evidence: Evidence): MadeReferences[] {
  const { explanation, confirmed } = appraise(evidence, undefined, undefined);
  const explained = explanation.pcrs.filter((pcr) => pcr.explained).map(({ pcr }) => pcr);
  const vouched = { bank: evidence.quote.selection.bank, pcrs: new Set(explained) };
  const made: MadeReferences[] = [];
  const boot = evidence.logs['boot-log'];
  if (boot.kind === 'bytes' && boot.bytes.length > 0)
    made.push(bootLogReferences(about, boot.bytes, vouched));
  const ima = evidence.logs['ima-list'];
  if (ima.kind !== 'bytes' || ima.bytes.length === 0) return made;
  const covered = ima.bytes.subarray(0, confirmed.imaList);
  if (covered.length > 0) made.push(imaReferences(about, parseImaBinary(covered)));
  const left = ima.bytes.length - covered.length;
  const note = `${about.source}: ${left} of ${ima.bytes.length} bytes of its IMA list are left out: no quote covers them`;
  return left === 0 ? made : [...made, { set: referenceSet(about, {}), notes: [note] }];
}
