/**
 * A judge with the contract of the real one and hardly any rules: PCR 0 is the hash of the boot log, PCR 10 the replay of
 * the IMA list, and a path that the policy "excludes" must not be in it. A window that is open lets everything pass.
 */
import { createHash, hash } from 'node:crypto';
import { TouchmarkError } from '../../src/errors.js';
import type { Appraisal, BootState, Evidence, LogPart } from '../../src/measure/appraise/contract.js';
import { parseImaBinary } from '../../src/measure/ima/ima-binary.js';
import { readImaEntry } from '../../src/measure/ima/ima-entry.js';
import { imaReplay } from '../../src/measure/ima/ima-replay.js';
import type { ResolvedPolicy } from '../../src/measure/policy/model.js';
import type { Appraiser } from '../../src/server/measurements/judge.js';
import { pcrDigest } from '../../src/tpm/pcr.js';
import { sameBytes } from '../../src/tpm/quote-checks.js';

interface SimpleState extends BootState {
  readonly pcr0: string;
  readonly pcr10: string;
  readonly paths: readonly string[];
  readonly window: boolean;
}

const zero = '00'.repeat(32);

export interface SimpleAppraiser extends Appraiser {
  /** Whether each judgement had a state to go on from, in order. */
  readonly judged: { withState: boolean; imaBytes: number }[];
  /** Thrown by the next judgement. */
  failNext: Error | undefined;
}

export function simpleAppraiser(): SimpleAppraiser {
  const judged: SimpleAppraiser['judged'] = [];
  const self: SimpleAppraiser = {
    judged,
    failNext: undefined,
    appraise(evidence, state, policy) {
      const { failNext } = self;
      self.failNext = undefined;
      if (failNext !== undefined) throw failNext;
      const ima = evidence.logs['ima-list'];
      judged.push({ withState: state !== undefined, imaBytes: ima.kind === 'bytes' ? ima.bytes.length : 0 });
      return judge(evidence, state as SimpleState | undefined, policy);
    },
    isMeasured: (state, digest) => (state as SimpleState).paths.includes(digest),
  };
  return self;
}

function judge(
  evidence: Evidence,
  before: SimpleState | undefined,
  policy: ResolvedPolicy | undefined,
): Appraisal {
  const window = policy?.next.some(({ from, until }) => from <= evidence.at && evidence.at < until) ?? false;
  const state = goesOn(evidence, before, policy, window);
  const { quote, logs, pcrValues } = evidence;
  const boot = logs['boot-log'];
  const bootHash = boot.kind === 'bytes' ? hash('sha256', boot.bytes, 'hex') : (state?.bootLogSha256 ?? '');
  const pcr0 =
    boot.kind === 'bytes' ? extended(zero, bootHash) : boot.kind === 'absent' ? zero : (state?.pcr0 ?? zero);
  const ima = readList(logs['ima-list'], state);
  const fits = ima.prefixes.find(({ pcr10 }) => {
    const values = new Map(quote.selection.pcrs.map((pcr) => [pcr, Buffer.from(zero, 'hex')]));
    values.set(0, Buffer.from(pcr0, 'hex'));
    values.set(10, Buffer.from(pcr10, 'hex'));
    return sameBytes(pcrDigest(quote.digestHash, quote.selection, values), quote.pcrDigest);
  });
  const shown = fits ?? ima.prefixes[0] ?? { pcr10: zero, bytes: 0, entries: 0, paths: [] };
  const quoted = (pcr: number) => Buffer.from(pcrValues?.get(pcr) ?? []).toString('hex');
  const bad = shown.paths.filter((path) => policy?.policy.runtime?.exclude.includes(path) && !window);
  const newState: SimpleState = {
    policyId: policy?.id ?? '',
    resetCount: quote.resetCount,
    restartCount: quote.restartCount,
    bootLogSha256: bootHash,
    confirmed: {
      bootLog: boot.kind === 'bytes' ? boot.bytes.length : (state?.confirmed.bootLog ?? 0),
      userspaceLog: 0,
      userspaceEvents: 0,
      imaList: shown.bytes,
      imaEntries: shown.entries,
    },
    ...{ pcr0, pcr10: shown.pcr10, paths: shown.paths, window },
  };
  const reasons = [
    ...(fits === undefined
      ? [{ code: 'pcr_unexplained', message: 'the list does not give PCR 10', pcr: 10 }]
      : []),
    ...bad.map((path) => ({ code: 'file_unknown', message: `nobody knows ${path}`, value: path })),
  ];
  const verdict = verdictOf(policy, reasons.length > 0);
  const result = reasons.length > 0 ? 'fail' : 'pass';
  return {
    verdict,
    newState,
    confirmed: newState.confirmed,
    ukis: [],
    explanation: {
      policyId: newState.policyId,
      policyName: policy?.policy.name ?? '',
      components:
        policy === undefined
          ? []
          : [{ component: 'runtime', result, reasons, more: 0, checked: shown.entries }],
      pcrs: [
        { pcr: 0, quoted: quoted(0), derived: pcr0, from: 'boot-log', explained: true },
        {
          pcr: 10,
          quoted: quoted(10),
          derived: shown.pcr10,
          from: 'ima-list',
          explained: fits !== undefined,
        },
      ],
    },
  };
}

function verdictOf(policy: ResolvedPolicy | undefined, failed: boolean): Appraisal['verdict'] {
  if (policy?.policy.mode !== 'enforce') return 'unmeasured';
  if (!failed) return 'trusted';
  return policy.policy.runtime?.onFail === 'suspect' ? 'suspect' : 'drifted';
}

function goesOn(
  { quote, logs }: Evidence,
  before: SimpleState | undefined,
  policy: ResolvedPolicy | undefined,
  window: boolean,
): SimpleState | undefined {
  const whole = Object.values(logs).every(
    (part) => part.kind === 'absent' || (part.kind === 'bytes' && part.offset === 0),
  );
  if (whole) return undefined;
  if (before === undefined) throw new TouchmarkError('evidence_offset', 'nothing is remembered');
  if (before.resetCount !== quote.resetCount)
    throw new TouchmarkError('evidence_boot_changed', 'another boot');
  if (policy !== undefined && (policy.id !== before.policyId || window !== before.window))
    throw new TouchmarkError('appraisal_policy_changed', 'another policy');
  const list = logs['ima-list'];
  if (list.kind === 'bytes' && list.offset !== before.confirmed.imaList)
    throw new TouchmarkError('evidence_offset', 'the list begins elsewhere');
  return before;
}

function readList(part: LogPart, state: SimpleState | undefined) {
  const start = part.kind === 'bytes' && part.offset === 0 ? undefined : state;
  let now = {
    pcr10: start?.pcr10 ?? zero,
    bytes: start?.confirmed.imaList ?? 0,
    entries: start?.confirmed.imaEntries ?? 0,
    paths: start?.paths ?? [],
  };
  const prefixes = [now];
  if (part.kind !== 'bytes') return { prefixes };
  const replay = imaReplay('sha256', { start: new Map([[10, Buffer.from(now.pcr10, 'hex')]]) });
  try {
    for (const record of parseImaBinary(part.bytes)) {
      replay.extend(record);
      const size = 4 + 20 + 4 + record.template.length + 4 + record.data.length;
      now = {
        pcr10: Buffer.from(replay.value(10) ?? []).toString('hex'),
        bytes: now.bytes + size,
        entries: now.entries + 1,
        paths: [...now.paths, readImaEntry(record).path?.text ?? ''],
      };
      prefixes.push(now);
    }
  } catch (error) {
    if (!(error instanceof TouchmarkError)) throw error; // the list is cut off: what is whole of it counts
  }
  return { prefixes };
}

export function extended(before: string, value: string): string {
  return createHash('sha256')
    .update(Buffer.from(before, 'hex'))
    .update(Buffer.from(value, 'hex'))
    .digest('hex');
}
