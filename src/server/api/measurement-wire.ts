/** Measurement objects, and what a change of them comes to, as they travel. */
import { create } from '@bufbuild/protobuf';
import { TouchmarkError } from '../../errors.js';
import type { MeasurementObject } from '../../measure/policy/model.js';
import { parseReference } from '../../measure/policy/reference.js';
import type { ObjectKind } from '../../measure/policy/resolve.js';
import { HostState as WireState } from '../../wire/gen/touchmark/host/v1/state_pb.js';
import {
  type HostOutcome,
  HostOutcomeSchema,
  type Impact,
  ImpactSchema,
  ObjectChange_Change,
  ObjectChangeSchema,
  type ObjectChange as WireChange,
  ObjectKind as WireKind,
} from '../../wire/gen/touchmark/measure/v1/measure_pb.js';
import { exceedsBlastRadius, firstNames } from '../policies/brake.js';
import type { Outcome } from '../policies/outcome.js';
import type { ObjectChange } from '../policies/publish.js';
import type { Simulation } from '../policies/simulate.js';
import { wireStates } from '../sessions/verdict.js';

const MAX_MANIFESTS = 32 * 1024 * 1024;
const MAX_OUTCOMES = 2000;
/** One piece of a document: below what clients take. */
const PIECE = 1024 * 1024;

export const wireKinds: Readonly<Record<ObjectKind, WireKind>> = {
  MeasurementPolicy: WireKind.MEASUREMENT_POLICY,
  ReferenceSet: WireKind.REFERENCE_SET,
  HostGroup: WireKind.HOST_GROUP,
};

const wireChanges: Readonly<Record<ObjectChange['change'], ObjectChange_Change>> = {
  created: ObjectChange_Change.CREATED,
  updated: ObjectChange_Change.UPDATED,
  unchanged: ObjectChange_Change.UNCHANGED,
  deleted: ObjectChange_Change.DELETED,
};

/** @throws TouchmarkError `argument_invalid` */
export function kindFromWire(kind: WireKind): ObjectKind {
  const found = (Object.keys(wireKinds) as ObjectKind[]).find((name) => wireKinds[name] === kind);
  if (found !== undefined) return found;
  throw new TouchmarkError('argument_invalid', `kind ${kind} is not one of the kinds of objects`);
}

/** @throws TouchmarkError `argument_invalid` */
export function nameFromWire(name: string): string {
  if (parseReference(name).hash === undefined) return name;
  throw new TouchmarkError('argument_invalid', `name ${JSON.stringify(name.slice(0, 80))} holds a hash`);
}

export function percentFromWire(percent: number | undefined): { allowWithdrawal?: number } {
  if (percent === undefined) return {};
  if (percent <= 100) return { allowWithdrawal: percent };
  throw new TouchmarkError('argument_invalid', `allow_withdrawal_percent ${percent} is above 100`);
}

/** All pieces of a list of manifests. @throws TouchmarkError `argument_invalid` */
export async function manifestsFromPieces(pieces: AsyncIterable<Uint8Array>): Promise<unknown[]> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const piece of pieces) {
    size += piece.length;
    if (size > MAX_MANIFESTS) {
      throw new TouchmarkError('argument_invalid', `the manifests have more than ${MAX_MANIFESTS} bytes`);
    }
    chunks.push(piece);
  }
  const list = jsonOf(Buffer.concat(chunks, size));
  if (!Array.isArray(list)) throw new TouchmarkError('argument_invalid', 'the manifests are not a JSON list');
  return list;
}

function jsonOf(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw new TouchmarkError('argument_invalid', 'the manifests are not JSON', { cause });
  }
}

export function jsonBytes(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value), 'utf8');
}

/** At least one piece. */
export function* pieces(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at === 0 || at < bytes.length; at += PIECE) yield bytes.subarray(at, at + PIECE);
}

export function changeToWire({ kind, name, change, hash, hashBefore }: ObjectChange): WireChange {
  return create(ObjectChangeSchema, {
    kind: wireKinds[kind],
    name,
    change: wireChanges[change],
    hash,
    hashBefore,
  });
}

export function impactToWire(impact: Simulation, percent: number): Impact {
  const { hosts, good, lost, regained, unknown, affected, afterWindows } = impact;
  const isMoved = ({ stateNow, stateThen, lost: isLost }: Outcome) => isLost || stateNow !== stateThen;
  const moved = affected.filter(isMoved);
  const others = affected.filter((outcome) => !isMoved(outcome));
  return create(ImpactSchema, {
    hosts,
    good,
    lost: lost.length,
    regained: regained.length,
    unknown: unknown.length,
    affected: affected.length,
    outcomes: [...moved, ...others].slice(0, MAX_OUTCOMES).map(outcomeToWire),
    held: exceedsBlastRadius(impact, percent),
    blastRadius: percent,
    lostAtEnd: afterWindows.lost.length,
    lostAtEndHosts: firstNames(afterWindows.lost),
    lostAtEndFrom: BigInt(Math.floor(afterWindows.from / 1000)),
  });
}

function outcomeToWire({ stateNow, stateThen, reasons, lost: _, ...rest }: Outcome): HostOutcome {
  return create(HostOutcomeSchema, {
    ...rest,
    stateNow: wireStates[stateNow],
    stateThen: stateThen === undefined ? WireState.UNSPECIFIED : wireStates[stateThen],
    reasons: reasons.slice(0, 5).map(({ code, message }) => ({ code, message: message.slice(0, 300) })),
  });
}

/** What is in an object, in words. */
export function summaryOf(object: MeasurementObject): string {
  switch (object.kind) {
    case 'HostGroup': {
      const labels = Object.entries(object.labels).map(([key, value]) => `${key}=${value}`);
      const hosts = labels.length === 0 ? 'every host' : labels.join(' ');
      return `${hosts} -> ${object.policy}, priority ${object.priority}`;
    }
    case 'MeasurementPolicy': {
      const { firmware, firmwareConfig, secureBoot, bootChain, commandLine, userspace, runtime } = object;
      const rules = { firmware, firmwareConfig, secureBoot, bootChain, commandLine, userspace, runtime };
      const judged = Object.entries(rules).flatMap(([key, rule]) => (rule === undefined ? [] : [key]));
      return `${object.mode}: ${judged.join(', ')}`;
    }
    case 'ReferenceSet': {
      const lists = Object.entries(object).filter(([, value]) => Array.isArray(value) && value.length > 0);
      return lists.map(([key, value]) => `${(value as unknown[]).length} ${key}`).join(', ') || 'empty';
    }
  }
}
