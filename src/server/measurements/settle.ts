/**
 * From a verified quote to a judgement: gather the logs that belong to it, see which boot they go on from, judge, and when
 * the logs stop explaining what they explained before, read them once more from the beginning and judge that.
 */

import { randomBytes } from 'node:crypto';
import type { LogWish, SentLogPart } from '../../attest/logs.js';
import {
  type Appraisal,
  type BootState,
  type Evidence,
  type LogKind,
  logKinds,
} from '../../measure/appraise/contract.js';
import { readLog } from './archive.js';
import { type CollectedLogs, collectLogs, joined, type PullPart, wishesFor } from './collect.js';
import type { InForce } from './contract.js';
import { needsWhole } from './judge.js';
import { goesOn, type LogSet, losesExplanation, newestOf, type Remembered } from './memory.js';
import type { Pulling } from './pulls.js';
import type { Judgee, Room, VerifiedQuote } from './room.js';

/** What came, and what was known when it was asked for. */
export interface Received {
  readonly verified: VerifiedQuote;
  /** As of the moment at which the wishes went out: the parts begin where it ends. */
  readonly known: Remembered | undefined;
  readonly wishes: readonly LogWish[];
  readonly parts: readonly SentLogPart[];
  readonly pull: PullPart;
}

/** Evidence with its judgement, not written yet. */
export interface Settled {
  readonly hostId: string;
  readonly verified: VerifiedQuote;
  /** Logs as they are to be kept: increments of `set`, or whole ones of a new set. */
  readonly evidence: Evidence;
  readonly appraisal: Appraisal;
  readonly inForce: InForce | undefined;
  /** Where the logs are kept: what is there that these go on from, or a new place with nothing in it. */
  readonly set: LogSet;
  readonly wholeAt: number;
  /** Unix milliseconds at which the quote came; absent where what is kept is judged anew. */
  readonly quotedAt?: number;
}

/**
 * Judges and uses the judgement in the host's lane, which waits for nobody's logs.
 * @throws TouchmarkError `evidence_invalid`, `evidence_busy`, `evidence_late`, `evidence_unjudged`, and what `pull` and `use` throw
 */
export async function settle<T>(
  room: Room,
  host: Judgee,
  received: Received,
  use: (settled: Settled) => Promise<T>,
): Promise<T> {
  const goneOn = goesOn(received.known, received.verified.akName, received.verified.quote)
    ? received.known
    : undefined;
  const { parts, wishes } = received;
  const verified = goneOn === undefined ? received.verified : withHints(goneOn, received.verified);
  const pulling = room.pulls.start(host.id, received.pull);
  try {
    const goingOn = { verified, known: goneOn, parts, wishes };
    const first = await settleFirst(room, host, goingOn, pulling, use);
    if (first !== undefined) return first.used;
    const whole = await readAnew(received, pulling);
    const judged = () => judgeLogs(room, host, verified, whole, undefined);
    return await room.lane(host.id).run(async () => use(await judged()));
  } finally {
    pulling[Symbol.dispose]();
  }
}

/** Undefined where the logs have to be read from their beginning first. */
async function settleFirst<T>(
  room: Room,
  host: Judgee,
  { verified, known: goneOn, parts, wishes }: Omit<Received, 'pull'>,
  pulling: Pulling,
  use: (settled: Settled) => Promise<T>,
): Promise<{ readonly used: T } | undefined> {
  const logs = await collectLogs({ wishes, parts, pulling, sameBoot: goneOn !== undefined });
  return room.lane(host.id).run(async () => {
    const known = goneOn && newestOf(goneOn, room.memory.get(host.id));
    const settled = await judgeLogs(room, host, verified, logs, known);
    if (known !== undefined && losesExplanation(known.appraisal, settled.appraisal)) return undefined;
    return { used: await use(settled) };
  });
}

/** What no log explained held this value in this boot; what the agent says of now comes before it. */
function withHints({ appraisal, pcrValues }: Remembered, verified: VerifiedQuote): VerifiedQuote {
  if (verified.pcrValues !== undefined) return verified;
  const unexplained = appraisal.explanation.pcrs.filter(({ explained }) => !explained);
  const last = unexplained.flatMap(({ pcr }) => {
    const value = pcrValues?.get(pcr);
    return value === undefined ? [] : [[pcr, value] as const];
  });
  return { ...verified, hints: new Map([...last, ...(verified.hints ?? [])]) };
}

/** Every log from its beginning, whatever the host was said to hold. */
function readAnew({ parts }: Received, pulling: Pulling): Promise<CollectedLogs> {
  const none = new Uint8Array();
  const again = parts.map(
    (part): SentLogPart =>
      part.state === 'absent' || part.state === 'unreadable'
        ? part
        : { ...part, state: 'present', offset: 0, data: none, remaining: 1 },
  );
  const wishes = wishesFor(undefined);
  return collectLogs({ wishes, parts: again, pulling, sameBoot: false });
}

/** Goes on from what is remembered where that is possible, and judges whole logs where it is not. */
async function judgeLogs(
  room: Room,
  host: Judgee,
  verified: VerifiedQuote,
  logs: CollectedLogs,
  known: Remembered | undefined,
): Promise<Settled> {
  const inForce = room.policies.policyFor(host);
  const at = room.clock.now();
  const settled = (evidence: Evidence, appraisal: Appraisal, goneOn: LogSet | undefined): Settled => ({
    hostId: host.id,
    verified: withValues(verified, appraisal),
    evidence,
    appraisal,
    inForce,
    set: goneOn ?? newSet(verified, at),
    wholeAt: goneOn === undefined || known === undefined ? at : known.wholeAt,
    quotedAt: at,
  });
  const judge = (evidence: Evidence, state: BootState | undefined) =>
    room.judge.judge(evidence, state, inForce?.policy);
  const evidence = evidenceOf(verified, logs, at);
  if (known === undefined) return settled(evidence, await judge(evidence, undefined), undefined);
  const judgeWhole = () =>
    withWhole(room, host.id, logs, known, async (joinedLogs) => {
      const whole = evidenceOf(verified, joinedLogs, at);
      return { whole, appraisal: await judge(whole, undefined) };
    });
  if (beginsAnew(logs, known.set)) {
    const { whole, appraisal } = await judgeWhole();
    return settled(whole, appraisal, undefined);
  }
  try {
    return settled(evidence, await judge(evidence, known.state), known.set);
  } catch (error) {
    if (!needsWhole(error)) throw error;
    return settled(evidence, (await judgeWhole()).appraisal, known.set);
  }
}

/** The counters of a chip come again after TPM2_Clear: what is kept of two boots must not. */
function newSet({ quote: { resetCount, restartCount } }: VerifiedQuote, at: number): LogSet {
  const epoch = `${at.toString(16)}${randomBytes(3).toString('hex')}`;
  const stored = { 'boot-log': 0, 'userspace-log': 0, 'ima-list': 0 };
  return { boot: `${resetCount}-${restartCount}-${epoch}`, stored };
}

function evidenceOf({ quote, pcrValues, hints }: VerifiedQuote, logs: CollectedLogs, at: number): Evidence {
  return { at, quote, pcrValues, hints, logs };
}

/** Values that the judgement found give the quoted digest as well as those that are sent: they are kept alike. */
function withValues(verified: VerifiedQuote, { explanation: { pcrs } }: Appraisal): VerifiedQuote {
  if (verified.pcrValues !== undefined || pcrs.some(({ quoted }) => quoted === '')) return verified;
  const pcrValues = new Map(pcrs.map(({ pcr, quoted }) => [pcr, Buffer.from(quoted, 'hex')]));
  return { ...verified, pcrValues };
}

/** A log that comes from its beginning may be another one than that which is kept. */
function beginsAnew(logs: CollectedLogs, set: LogSet): boolean {
  return logKinds.some((kind) => {
    const part = logs[kind];
    return part.kind === 'bytes' && part.offset === 0 && set.stored[kind] > 0;
  });
}

/** Within the memory that all hosts share for what is kept of them. */
async function withWhole<T>(
  room: Room,
  hostId: string,
  logs: CollectedLogs,
  known: Remembered,
  task: (whole: CollectedLogs) => Promise<T>,
): Promise<T> {
  const ends = endsOf(known);
  const bytes = logKinds.reduce((sum, kind) => sum + ends[kind], 0);
  const leave = await room.recalled.enter(hostId, bytes);
  try {
    return await task(await wholeLogs(room, hostId, logs, known));
  } finally {
    leave();
  }
}

function endsOf({ state: { confirmed }, set }: Remembered): Readonly<Record<LogKind, number>> {
  return {
    'boot-log': Math.max(confirmed.bootLog, set.stored['boot-log']),
    'userspace-log': confirmed.userspaceLog,
    'ima-list': confirmed.imaList,
  };
}

/** What is kept, up to where quotes vouched for it, with what came now behind it. */
async function wholeLogs(
  room: Room,
  hostId: string,
  logs: CollectedLogs,
  known: Remembered,
): Promise<CollectedLogs> {
  const { set, evidenceId } = known;
  const ends = endsOf(known);
  const whole = { ...logs };
  for (const kind of logKinds) {
    const part = logs[kind];
    if (part.kind === 'absent' || (part.kind === 'bytes' && part.offset === 0)) continue;
    const end = part.kind === 'bytes' ? part.offset : ends[kind];
    const before = await readLog(room.store, { id: evidenceId, hostId, boot: set.boot }, kind, end);
    const added = part.kind === 'bytes' ? part.bytes : new Uint8Array();
    whole[kind] = { kind: 'bytes', offset: 0, bytes: joined([before, added], before.length + added.length) };
  }
  return whole;
}
