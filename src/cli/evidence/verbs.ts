/** `evidence verify` and `evidence explain`: offline, the same in the server's program and in `touchmark`. */
import { TouchmarkError } from '../../errors.js';
import type { HostEk } from '../../server/model.js';
import { type Output, printable } from '../output.js';
import type { Argument, Verb, VerbContext } from '../verb.js';
import { examine, type Step } from './examine.js';
import { explain, explainedText, stepsText } from './explain-text.js';
import { type ExportedEvidence, readEvidenceDirectory } from './read-evidence.js';

const directory: Argument = { name: 'DIR', doc: 'What `evidence export` wrote.' };

/** @param program as whose verbs they are shown */
export function offlineVerbs(program: string): readonly Verb[] {
  return [
    {
      name: 'evidence verify',
      summary: 'Come to a stored verdict again from exported evidence, offline.',
      example: `${program} evidence verify ./web-1`,
      flags: [],
      args: [directory],
      run: verify,
    },
    {
      name: 'evidence explain',
      summary: 'Say register by register and component by component what exported evidence shows.',
      example: `${program} evidence explain ./web-1`,
      flags: [],
      args: [directory],
      run: explainDirectory,
    },
  ];
}

async function verify({ args, out }: VerbContext): Promise<number> {
  const exported = await readEvidenceDirectory(args[0] ?? '');
  const examination = examine(exported);
  const { steps, appraisal } = examination;
  const { id, hostId, verdict } = exported.document.record;
  out.result({
    pretty: stepsText(examination),
    json: { host: hostId, evidence: id, stored: verdict, verdict: appraisal?.verdict ?? '', steps },
  });
  remark(out, exported);
  return exitCode(out, failedStep(steps));
}

async function explainDirectory({ args, out }: VerbContext): Promise<number> {
  const exported = await readEvidenceDirectory(args[0] ?? '');
  const { steps, appraisal } = examine(exported);
  const failed = failedStep(steps);
  if (appraisal === undefined) {
    const why = failed === undefined ? 'nothing was judged' : `${failed.step}: ${failed.message}`;
    throw new TouchmarkError('evidence_differs', why);
  }
  const explained = explain(exported, appraisal);
  out.result({ pretty: explainedText(explained), json: explained });
  return exitCode(out, failed);
}

function failedStep(steps: readonly Step[]): Step | undefined {
  return steps.find(({ result }) => result === 'failed');
}

function exitCode(out: Output, failed: Step | undefined): number {
  if (failed === undefined) return 0;
  out.note(`${failed.step}: ${printable(failed.message)}`);
  return 1;
}

/** What no directory can show. */
function remark(out: Output, { document: { host, record } }: ExportedEvidence): void {
  out.note('Not shown by this: that the attestation key lives in a genuine chip, and when it was asked.');
  if (host === undefined) return;
  const keys = host.eks.map(ekText).join('; ');
  out.note(
    `The server recorded of the chip of ${record.hostId.slice(0, 16)}: ${keys === '' ? 'nothing' : keys}.`,
  );
}

function ekText({ hash, algorithm, manufacturer, model, anchor }: HostEk): string {
  const chip = printable(`${manufacturer} ${model}`.trim());
  const chain =
    anchor === ''
      ? 'no certificate that chains to an anchor'
      : `its certificate chains to ${printable(anchor)}`;
  return `${algorithm} key ${hash.slice(0, 16)}${chip === '' ? '' : ` (${chip})`}, ${chain}`;
}
