import { TouchmarkError } from '../../errors.js';
import type { Appraisal, ComponentAppraisal } from '../../measure/appraise/contract.js';
import type { EvidenceRecord } from '../../server/model.js';

/**
 * Verdict, result of every component, and the codes of its reasons. How many measurements were compared is left out: the
 * server may have judged in steps.
 * @throws TouchmarkError `evidence_differs`, naming the first difference
 */
export function compareVerdicts(
  stored: Pick<EvidenceRecord, 'verdict' | 'components'>,
  { verdict, explanation }: Appraisal,
): void {
  const found = new Map(explanation.components.map((one) => [one.component, one]));
  for (const component of stored.components) compareComponent(component, found.get(component.component));
  const extra = explanation.components.find(
    ({ component }) => !stored.components.some((one) => one.component === component),
  );
  if (extra !== undefined) throw differs(`component ${extra.component} is judged here and was not then`);
  if (verdict !== stored.verdict) throw differs(`the verdict is ${verdict} here and was ${stored.verdict}`);
}

function compareComponent(stored: ComponentAppraisal, found: ComponentAppraisal | undefined): void {
  const { component } = stored;
  if (found === undefined) throw differs(`component ${component} was judged and is not here`);
  if (found.result !== stored.result) {
    throw differs(`component ${component} is ${found.result} here and was ${stored.result}`);
  }
  // Of very many reasons only the first ones are kept, and which these are depends on the steps.
  if (found.more > 0 || stored.more > 0) return;
  const [here, then] = [codes(found), codes(stored)];
  if (here !== then) throw differs(`component ${component} has the reasons ${here} here and had ${then}`);
}

function codes({ reasons }: ComponentAppraisal): string {
  const all = [...new Set(reasons.map(({ code }) => code))].sort();
  return all.length === 0 ? 'none' : all.join(', ');
}

function differs(message: string): TouchmarkError {
  return new TouchmarkError('evidence_differs', message);
}
