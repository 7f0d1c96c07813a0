import { fromBinary, type MessageInitShape } from '@bufbuild/protobuf';
import type { LogPartState, LogWish, MeasuredLog, SentLogPart } from '../../attest/logs.js';
import { messageOf, TouchmarkError } from '../../errors.js';
import type { PcrSelection } from '../../host/tpm.js';
import { isHashName } from '../../tpm/algorithms.js';
import { PCR_COUNT } from '../../tpm/pcr.js';
import {
  type LogPartSchema,
  LogRequestSchema,
  type TickEvidenceSchema,
  TickSchema,
  LogKind as WireKind,
  LogState as WireState,
} from '../../wire/gen/touchmark/measure/v1/logs_pb.js';
import type { LogQuestion, TickEvidence } from './ticks.js';

/** What a session's server asks, checked. */
export interface Tick {
  readonly seq: bigint;
  readonly nonce: Uint8Array;
  readonly selection: PcrSelection;
  readonly wishes: readonly LogWish[];
  /** From its arrival on; later nobody takes the answer. */
  readonly withinMs: number;
  /** Of a quote of these registers whose values the server holds; empty: it holds none. */
  readonly knownDigest: Uint8Array;
}

const NONCE_SIZE = 32;
const MOST_WISHES = 8;
const DIGEST_SIZE = 32;

const kinds: ReadonlyMap<number, MeasuredLog> = new Map([
  [WireKind.BOOT, 'boot-log'],
  [WireKind.USERSPACE, 'userspace-log'],
  [WireKind.IMA, 'ima-list'],
]);
const wireKinds: Readonly<Record<MeasuredLog, WireKind>> = {
  'boot-log': WireKind.BOOT,
  'userspace-log': WireKind.USERSPACE,
  'ima-list': WireKind.IMA,
};
const wireStates: Readonly<Record<LogPartState, WireState>> = {
  present: WireState.PRESENT,
  unchanged: WireState.UNCHANGED,
  absent: WireState.ABSENT,
  unreadable: WireState.UNREADABLE,
  shorter: WireState.SHORTER,
};

/** @throws TouchmarkError `tick_invalid` before the chip is asked anything */
export function readTick(bytes: Uint8Array): Tick {
  const tick = decoded('a tick', () => fromBinary(TickSchema, bytes));
  const { seq, nonce, pcrBank, pcrs, logs, answerWithinMs: withinMs, knownPcrDigest: knownDigest } = tick;
  if (nonce.length !== NONCE_SIZE)
    throw invalid(`the nonce of a tick has ${nonce.length} bytes instead of ${NONCE_SIZE}`);
  if (!isHashName(pcrBank) || pcrBank === 'sha1')
    throw invalid(`a tick asks for the PCR bank ${JSON.stringify(pcrBank.slice(0, 40))}`);
  const ascending = pcrs.every((pcr, at) => pcr < PCR_COUNT && pcr > (pcrs[at - 1] ?? -1));
  if (pcrs.length === 0 || !ascending) throw invalid('a tick names no PCRs, or not in ascending order');
  const selection = { bank: pcrBank, pcrs };
  return { seq, nonce, selection, wishes: readWishes(logs), withinMs, knownDigest };
}

interface WishFields extends LogQuestion {
  readonly knownSha256: Uint8Array;
}

/** @throws TouchmarkError `tick_invalid` */
export function readWishes(wishes: readonly WishFields[]): LogWish[] {
  if (wishes.length > MOST_WISHES) throw invalid(`${wishes.length} logs are asked for, there are 3`);
  return wishes.map(({ log, offset, knownSha256, maxBytes }) => {
    const kind = kinds.get(log);
    if (kind === undefined) throw invalid(`a log of the unknown kind ${log} is asked for`);
    if (offset > BigInt(Number.MAX_SAFE_INTEGER)) throw invalid(`a log is asked for from byte ${offset} on`);
    if (knownSha256.length !== 0 && knownSha256.length !== DIGEST_SIZE)
      throw invalid(`a SHA-256 of ${knownSha256.length} bytes names a log`);
    return { log: kind, offset: Number(offset), knownSha256, maxBytes };
  });
}

/** A LogRequest, which is a wish for what follows. @throws TouchmarkError `tick_invalid` */
export function readLogRequest(bytes: Uint8Array): LogWish {
  const request = decoded('a request for a log', () => fromBinary(LogRequestSchema, bytes));
  return wishOf(request);
}

/** @throws TouchmarkError `tick_invalid` */
export function wishOf(request: LogQuestion): LogWish {
  const { log, offset, maxBytes } = request;
  const [wish] = readWishes([{ log, offset, maxBytes, knownSha256: new Uint8Array() }]);
  if (wish === undefined) throw invalid('a request for a log names none');
  return wish;
}

export function evidenceToWire({
  pcrValues,
  logs,
  ...evidence
}: TickEvidence): MessageInitShape<typeof TickEvidenceSchema> {
  return { ...evidence, pcrValues: [...pcrValues], logs: logs.map(partToWire) };
}

export function partToWire(part: SentLogPart): MessageInitShape<typeof LogPartSchema> {
  const { log, state, offset, data, remaining, reason } = part;
  return {
    log: wireKinds[log],
    state: wireStates[state],
    offset: BigInt(offset),
    data,
    remaining: BigInt(remaining),
    reason: reason.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 300),
  };
}

function decoded<T>(what: string, decode: () => T): T {
  try {
    return decode();
  } catch (cause) {
    throw new TouchmarkError('tick_invalid', `${what} cannot be read: ${messageOf(cause)}`, { cause });
  }
}

function invalid(message: string): TouchmarkError {
  return new TouchmarkError('tick_invalid', message);
}
