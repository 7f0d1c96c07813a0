/** Comes to a verdict from exported evidence, step by step, with nothing but the directory. */
import { quoteExtraData, tickExtraDataOfHash } from '../../attest/transcript.js';
import { messageOf, TouchmarkError } from '../../errors.js';
import { appraise } from '../../measure/appraise/appraise.js';
import {
  type Appraisal,
  type Evidence,
  type LogKind,
  type LogPart,
  logKinds,
} from '../../measure/appraise/contract.js';
import type { ResolvedPolicy } from '../../measure/policy/model.js';
import { recordedLogs } from '../../server/measurements/archive.js';
import type { EvidenceRecord } from '../../server/model.js';
import { nameOf } from '../../tpm/name.js';
import type { PcrValues } from '../../tpm/pcr.js';
import { parsePublic } from '../../tpm/public.js';
import { type ExplainedCheck, explainQuote, type QuoteInput, verifyQuote } from '../../tpm/quote.js';
import { compareVerdicts } from './compare.js';
import type { ExportedEvidence } from './read-evidence.js';
import { readPolicy } from './read-policy.js';

export interface Step {
  readonly step: string;
  readonly result: ExplainedCheck['result'];
  readonly message: string;
}

export interface Examination {
  readonly steps: readonly Step[];
  /** Undefined when something before the judgement failed. */
  readonly appraisal?: Appraisal;
  readonly policy?: ResolvedPolicy;
  readonly quote?: Evidence['quote'];
}

/**
 * Establishes that the attestation key in the record signed the quote for what the record says was asked, that the logs give
 * the quoted registers as far as the judgement says, and that judging them gives the verdict that was stored. Does NOT
 * establish that the key lives in a genuine chip, or that the server asked at that time: the server did, and says so.
 */
export function examine(exported: ExportedEvidence): Examination {
  const steps: Step[] = [];
  const { record } = exported.document;
  const logs = take(steps, 'logs', 'every log has the length that the record says', () => logsOf(exported));
  const input = take(steps, 'record', 'the attestation key can be read', () => quoteInput(record));
  if (logs === undefined || input === undefined) return { steps };
  const checks = explainQuote(input);
  steps.push(...checks.map(({ check, result, message }) => ({ step: `quote ${check}`, result, message })));
  if (checks.some(({ result }) => result === 'failed')) return { steps };
  steps.push(keyStep(exported, input));
  const quote = verifyQuote(input);
  const policy = policyStep(exported, steps);
  if (steps.some(({ result }) => result === 'failed')) return { steps, quote };
  const { pcrValues } = input.expected;
  const evidence = { at: record.at, quote, logs, ...(pcrValues === undefined ? {} : { pcrValues }) };
  const about = { steps, quote, ...(policy === undefined ? {} : { policy }) };
  const appraisal = judge(steps, record, evidence, policy);
  return appraisal === undefined ? about : { ...about, appraisal };
}

function judge(
  steps: Step[],
  record: EvidenceRecord,
  evidence: Evidence,
  policy: ResolvedPolicy | undefined,
): Appraisal | undefined {
  const appraisal = take(
    steps,
    'judgement',
    ({ verdict }) => `it comes to ${verdict}`,
    () => appraise(evidence, undefined, policy),
  );
  if (appraisal === undefined) return undefined;
  take(steps, 'verdict', `it is the one that was stored: ${record.verdict}`, () =>
    compareVerdicts(record, appraisal),
  );
  return appraisal;
}

/** Takes one step and notes how it went. */
function take<T>(
  steps: Step[],
  step: string,
  passed: string | ((result: T) => string),
  task: () => T,
): T | undefined {
  try {
    const result = task();
    const message = typeof passed === 'string' ? passed : passed(result);
    steps.push({ step, result: 'passed', message });
    return result;
  } catch (error) {
    steps.push({ step, result: 'failed', message: messageOf(error) });
    return undefined;
  }
}

function logsOf({ document: { record }, logs }: ExportedEvidence): Record<LogKind, LogPart> {
  const parts = logKinds.map((kind): [LogKind, LogPart] => {
    const length = record.logs[recordedLogs[kind]];
    const bytes = logs[kind];
    if (length < 0 && bytes === undefined)
      return [kind, { kind: 'absent', reason: record.absent[kind] ?? '' }];
    if (bytes?.length === Math.max(0, length)) return [kind, { kind: 'bytes', offset: 0, bytes }];
    if (length === 0 && bytes === undefined)
      return [kind, { kind: 'bytes', offset: 0, bytes: new Uint8Array() }];
    const has = bytes === undefined ? 'is not there' : `has ${bytes.length} bytes`;
    throw differs(`the ${kind} ${has}, the record says ${length < 0 ? 'that there is none' : length}`);
  });
  return Object.fromEntries(parts) as Record<LogKind, LogPart>;
}

/** What is compared is made from the record's parts, never taken from the quote. */
function quoteInput(record: EvidenceRecord): QuoteInput {
  const { asked, bank, pcrs, pcrValues } = record;
  const bound = asked.by === 'attestation' ? quoteExtraData : tickExtraDataOfHash;
  const values: PcrValues = new Map(
    Object.entries(pcrValues).map(([index, hex]) => [Number(index), Buffer.from(hex, 'hex')]),
  );
  const selection = { bank, pcrs } as QuoteInput['expected']['selection'];
  return {
    attest: bytesOf(record.attest),
    signature: bytesOf(record.signature),
    ak: parsePublic(bytesOf(record.akPublic)),
    expected: {
      extraData: bound(bytesOf(asked.nonce), bytesOf(asked.hash)),
      selection,
      ...(values.size === 0 ? {} : { pcrValues: values }),
    },
  };
}

/** A host may have made a new key since. */
function keyStep({ document: { host } }: ExportedEvidence, { ak }: QuoteInput): Step {
  const name = Buffer.from(nameOf(ak)).toString('hex');
  if (host === undefined) {
    return { step: 'host', result: 'not checked', message: 'nothing of the host itself was exported' };
  }
  const same = host.akName === name;
  const message = same
    ? 'the key is the one that the server holds of this host'
    : `the host has another attestation key by now (${host.akName.slice(0, 16)}…)`;
  return { step: 'host', result: same ? 'passed' : 'not checked', message };
}

function policyStep(
  { document: { record }, policy }: ExportedEvidence,
  steps: Step[],
): ResolvedPolicy | undefined {
  if (record.policyId === '') {
    steps.push({ step: 'policy', result: 'not checked', message: 'no policy applied' });
    return undefined;
  }
  try {
    if (policy === undefined) throw differs(`policy.json is missing, and ${record.policyId} was in force`);
    const read = readPolicy(policy, record.policyId);
    steps.push({
      step: 'policy',
      result: 'passed',
      message: `policy.json is ${read.policy.name}, to the last set`,
    });
    return read;
  } catch (error) {
    steps.push({ step: 'policy', result: 'failed', message: messageOf(error) });
    return undefined;
  }
}

function bytesOf(base64: string): Uint8Array {
  return Buffer.from(base64, 'base64');
}

function differs(message: string): TouchmarkError {
  return new TouchmarkError('evidence_differs', message);
}
