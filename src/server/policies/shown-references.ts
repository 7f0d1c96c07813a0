import type { Evidence } from '../../measure/appraise/contract.js';
import { parseImaBinary } from '../../measure/ima/ima-binary.js';
import { bootLogReferences } from '../../measure/policy/reference-sources/boot-log-source.js';
import { imaReferences } from '../../measure/policy/reference-sources/ima-source.js';
import type { MadeReferences, ReferenceAbout } from '../../measure/policy/reference-sources/reference-set.js';

/**
 * What one host showed, as references: its boot log and its IMA list. Says nothing about whether it was good: its verdict
 * does. @throws TouchmarkError what reading the logs throws
 */
export function shownReferences(about: ReferenceAbout, { logs }: Evidence): MadeReferences[] {
  const made: MadeReferences[] = [];
  const boot = logs['boot-log'];
  if (boot.kind === 'bytes' && boot.bytes.length > 0) made.push(bootLogReferences(about, boot.bytes));
  const ima = logs['ima-list'];
  if (ima.kind === 'bytes' && ima.bytes.length > 0)
    made.push(imaReferences(about, parseImaBinary(ima.bytes)));
  return made;
}
