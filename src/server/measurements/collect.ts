/**
 * Gathers the logs that belong to one quote: what came beside it, then part by part what is missing. Everything is bounded
 * by bytes and by parts. Nothing of it is believed here: whether the logs explain the quote is for `appraise`.
 */
import { createHash } from 'node:crypto';
import type { LogRequest, LogWish, SentLogPart } from '../../attest/logs.js';
import { type BootState, type LogKind, type LogPart, logKinds } from '../../measure/appraise/contract.js';
import { measureLimits } from './limits.js';
import type { Pulling } from './pulls.js';
import { invalid } from './wire.js';

/** One round: the request goes out, its answer comes back. */
export type PullPart = (request: LogRequest) => Promise<SentLogPart>;

/** What is asked for beside a quote, given what is known of the boot that the host was last seen in. */
export function wishesFor(known: BootState | undefined): LogWish[] {
  const { userspaceLog, imaList } = known?.confirmed ?? { userspaceLog: 0, imaList: 0 };
  const knownSha256 = new Uint8Array(Buffer.from(known?.bootLogSha256 ?? '', 'hex'));
  const none = new Uint8Array();
  return [
    { log: 'boot-log', offset: 0, knownSha256, maxBytes: measureLimits.first['boot-log'] },
    {
      log: 'userspace-log',
      offset: userspaceLog,
      knownSha256: none,
      maxBytes: measureLimits.first['userspace-log'],
    },
    { log: 'ima-list', offset: imaList, knownSha256: none, maxBytes: measureLimits.first['ima-list'] },
  ];
}

export interface Collection {
  readonly wishes: readonly LogWish[];
  /** What answered them, one part each. */
  readonly parts: readonly SentLogPart[];
  /** Whether the quote is of the boot that the offsets are of; else only what begins at 0 is of use. */
  readonly sameBoot: boolean;
  readonly pulling: Pulling;
}

export type CollectedLogs = Readonly<Record<LogKind, LogPart>>;

/** @throws TouchmarkError `evidence_invalid`, `evidence_busy`, and what pulling throws */
export async function collectLogs(collection: Collection): Promise<CollectedLogs> {
  const ask = counted(collection);
  const found: Partial<Record<LogKind, LogPart>> = {};
  for (const kind of logKinds) found[kind] = await collectOne(collection, kind, ask);
  return found as CollectedLogs;
}

/** Asks for parts, of all logs of a collection so many. */
function counted({ pulling, parts }: Collection): PullPart {
  let rounds = 0;
  let gathered = parts.reduce((sum, { data }) => sum + data.length, 0);
  return async (request) => {
    rounds += 1;
    if (rounds > measureLimits.parts)
      throw invalid(`the logs come in more than ${measureLimits.parts} parts`);
    const part = await pulling.pull(gathered, request);
    gathered += part.data.length;
    return part;
  };
}

async function collectOne(collection: Collection, kind: LogKind, ask: PullPart): Promise<LogPart> {
  const wish = collection.wishes.find(({ log }) => log === kind);
  const parts = collection.parts.filter(({ log }) => log === kind);
  const [part] = parts;
  if (parts.length > 1) throw invalid(`the ${kind} comes twice`);
  if (wish === undefined || part === undefined)
    return { kind: 'absent', reason: 'the agent sent nothing of it' };
  if (part.state === 'absent' || part.state === 'unreadable') return { kind: 'absent', reason: part.reason };
  if (part.data.length > wish.maxBytes)
    throw invalid(`the ${kind} comes with ${part.data.length} bytes, where ${wish.maxBytes} were asked for`);
  const { sameBoot } = collection;
  if (sameBoot && part.state === 'unchanged' && isKnown(wish)) return { kind: 'unchanged' };
  const fromStart = part.state === 'present' && part.offset === 0;
  if (part.state === 'shorter' || (!sameBoot && !fromStart))
    return goingOn(wish, sameBoot, await readOn(ask, kind, 0, [], 1));
  if (part.state !== 'present' || (part.offset !== wish.offset && sameBoot))
    throw invalid(
      `the ${kind} is ${part.state} from byte ${part.offset} on, where ${wish.offset} was asked for`,
    );
  return goingOn(wish, sameBoot, await readOn(ask, kind, part.offset, [part.data], part.remaining));
}

/** Of a log that comes from its beginning though it is what is held already, what is new: the rest is kept once. */
function goingOn({ log, offset, knownSha256 }: LogWish, sameBoot: boolean, part: LogPart): LogPart {
  if (!sameBoot || part.kind !== 'bytes' || part.offset !== 0) return part;
  if (log === 'boot-log') {
    const same = createHash('sha256').update(part.bytes).digest().equals(knownSha256);
    return same ? { kind: 'unchanged' } : part;
  }
  // Not shorter after all. Whether it is the same is what replaying from there shows.
  if (offset === 0 || part.bytes.length < offset) return part;
  return { kind: 'bytes', offset, bytes: part.bytes.subarray(offset) };
}

/** Only what was held can be unchanged. */
function isKnown({ log, offset, knownSha256 }: LogWish): boolean {
  return log === 'boot-log' ? knownSha256.length > 0 : offset > 0;
}

/** Asks for what remains. The list grows while it is read: what is there when it ends was there after the quote. */
async function readOn(
  ask: PullPart,
  kind: LogKind,
  start: number,
  chunks: Uint8Array[],
  remaining: number,
): Promise<LogPart> {
  const most = Math.min(measureLimits.log[kind], measureLimits.boot - start);
  let length = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  for (let left = remaining; left > 0; ) {
    if (length >= most)
      return { kind: 'absent', reason: `it has more than the ${start + most} bytes that are read` };
    const request = {
      log: kind,
      offset: start + length,
      maxBytes: Math.min(measureLimits.part, most - length),
    };
    const part = await ask(request);
    if (part.log !== kind || part.offset !== request.offset || part.data.length > request.maxBytes)
      throw invalid(
        `part ${part.offset} of the ${part.log} came where ${request.offset} of the ${kind} was asked for`,
      );
    if (part.state === 'absent' || part.state === 'unreadable')
      return { kind: 'absent', reason: part.reason };
    chunks.push(part.data);
    length += part.data.length;
    left = part.data.length === 0 ? 0 : part.remaining;
  }
  if (length === 0 && start > 0) return { kind: 'unchanged' };
  return { kind: 'bytes', offset: start, bytes: joined(chunks, length) };
}

/** Long logs lie in memory that another thread sees without a copy. */
export function joined(chunks: readonly Uint8Array[], length: number): Uint8Array {
  const [only] = chunks;
  if (only !== undefined && chunks.length === 1 && length <= measureLimits.inline) return only;
  const shared = length > measureLimits.inline;
  const bytes = shared ? new Uint8Array(new SharedArrayBuffer(length)) : new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}
