/** Logs, ticks and evidence between the wire and our own types. Sizes are checked here; what is said is not believed. */
import { create, toBinary } from '@bufbuild/protobuf';
import { limits } from '../../attest/limits.js';
import type { LogPartState, LogRequest, LogWish, SentLogPart } from '../../attest/logs.js';
import type { PcrValue } from '../../attest/messages.js';
import { TouchmarkError } from '../../errors.js';
import type { LogKind } from '../../measure/appraise/contract.js';
import {
  LogRequestSchema,
  LogState,
  type TickEvidence,
  TickSchema,
  LogKind as WireKind,
  type LogPart as WirePart,
} from '../../wire/gen/touchmark/measure/v1/logs_pb.js';
import { measureLimits } from './limits.js';

const wireKinds: Readonly<Record<LogKind, WireKind>> = {
  'boot-log': WireKind.BOOT,
  'userspace-log': WireKind.USERSPACE,
  'ima-list': WireKind.IMA,
};

const kinds = new Map<WireKind, LogKind>([
  [WireKind.BOOT, 'boot-log'],
  [WireKind.USERSPACE, 'userspace-log'],
  [WireKind.IMA, 'ima-list'],
]);

const states = new Map<LogState, LogPartState>([
  [LogState.PRESENT, 'present'],
  [LogState.UNCHANGED, 'unchanged'],
  [LogState.ABSENT, 'absent'],
  [LogState.UNREADABLE, 'unreadable'],
  [LogState.SHORTER, 'shorter'],
]);

export function wishToWire({ log, offset, knownSha256, maxBytes }: LogWish) {
  return { log: wireKinds[log], offset: BigInt(offset), knownSha256, maxBytes };
}

export function requestToWire({ log, offset, maxBytes }: LogRequest) {
  return { log: wireKinds[log], offset: BigInt(offset), maxBytes };
}

/** As a challenge of an attestation carries it. */
export function encodeRequest(request: LogRequest): Uint8Array {
  return toBinary(LogRequestSchema, create(LogRequestSchema, requestToWire(request)));
}

/** @throws TouchmarkError `evidence_invalid` */
export function partFromWire(part: WirePart): SentLogPart {
  const log = kinds.get(part.log);
  const state = states.get(part.state);
  if (log === undefined || state === undefined)
    throw invalid(`a part of a log has the kind ${part.log} and the state ${part.state}`);
  if (part.data.length > measureLimits.part)
    throw invalid(`a part of the ${log} has ${part.data.length} bytes`);
  return {
    log,
    state,
    data: part.data,
    offset: wireNumber(part.offset, `the offset of the ${log}`),
    remaining: wireNumber(part.remaining, `what remains of the ${log}`),
    reason: plainReason(part.reason),
  };
}

/** @throws TouchmarkError `evidence_invalid` */
export function partsFromWire(parts: readonly WirePart[]): SentLogPart[] {
  if (parts.length > kinds.size) throw invalid(`there are ${parts.length} parts of logs`);
  return parts.map(partFromWire);
}

export interface TickFields {
  readonly seq: number;
  readonly nonce: Uint8Array;
  readonly bank: string;
  readonly pcrs: readonly number[];
  readonly wishes: readonly LogWish[];
  readonly answerWithinMs: number;
  /** Of a quote whose values are held; empty: they are wanted. */
  readonly knownPcrDigest: Uint8Array;
}

export function encodeTick(fields: TickFields): Uint8Array {
  const tick = create(TickSchema, {
    seq: BigInt(fields.seq),
    nonce: fields.nonce,
    pcrBank: fields.bank,
    pcrs: [...fields.pcrs],
    logs: fields.wishes.map(wishToWire),
    answerWithinMs: fields.answerWithinMs,
    knownPcrDigest: fields.knownPcrDigest,
  });
  return toBinary(TickSchema, tick);
}

export interface SessionEvidence {
  readonly seq: number;
  readonly attest: Uint8Array;
  readonly signature: Uint8Array;
  /** Of the registers that did not move; empty: as the tick said that they are known. */
  readonly pcrValues: readonly PcrValue[];
  readonly parts: readonly SentLogPart[];
}

/** @throws TouchmarkError `evidence_invalid` */
export function evidenceFromWire(wire: TickEvidence): SessionEvidence {
  const { attest, signature } = wire;
  if (attest.length > limits.attest || signature.length > limits.signature)
    throw invalid(`a quote has ${attest.length} bytes and a signature of ${signature.length} bytes`);
  if (wire.pcrValues.length > limits.pcrs) throw invalid(`there are ${wire.pcrValues.length} PCR values`);
  const pcrValues = wire.pcrValues.map(({ index, value }) => ({ index, value }));
  const parts = partsFromWire(wire.logs);
  return { seq: wireNumber(wire.seq, 'the number of the tick'), attest, signature, pcrValues, parts };
}

export function invalid(message: string): TouchmarkError {
  return new TouchmarkError('evidence_invalid', message);
}

function wireNumber(value: bigint, what: string): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw invalid(`${what} is ${value}`);
  return Number(value);
}

/** Reasons reach logs, records and terminals. */
function plainReason(text: string): string {
  const plain = text.slice(0, measureLimits.reason).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '?');
  return plain === '' ? 'the host does not say why' : plain;
}
