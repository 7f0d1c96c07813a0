import { messageOf, TouchmarkError } from '../../errors.js';
import { HostState } from '../../wire/gen/touchmark/host/v1/state_pb.js';
import type { LogRequest } from '../../wire/gen/touchmark/measure/v1/logs_pb.js';
import type {
  Entries,
  ServerMessage,
  Verdict,
  Bundles as WireBundles,
} from '../../wire/gen/touchmark/session/v1/session_pb.js';
import type { Reason } from '../contract.js';
import type { SessionMessage } from './api.js';
import { oneLine } from './errors.js';
import { receivedBundle, receivedEntry } from './from-wire.js';

const MOST_REASONS = 50;
const MOST_BUNDLES = 1_000;
const MOST_CRLS = 100;

const stateNames = new Map<number, string>(
  Object.entries(HostState).map(([name, value]) => [value, value === 0 ? '' : name.toLowerCase()]),
);

/** A message of the session in the agent's own types. What cannot be read is told, not thrown: it can be asked for again. */
export function sessionMessage(wire: ServerMessage): SessionMessage {
  try {
    return fromWire(wire);
  } catch (error) {
    if (!(error instanceof TouchmarkError)) throw error;
    return { kind: 'unusable', why: `a message of kind ${wire.message.case}: ${messageOf(error)}` };
  }
}

function fromWire({ message }: ServerMessage): SessionMessage {
  switch (message.case) {
    case 'entries':
      return entriesOf(message.value);
    case 'bundles':
      return bundlesOf(message.value);
    case 'verdict':
      return verdictOf(message.value);
    case 'withdraw':
      return { kind: 'withdraw', reasons: reasonsOf(message.value.reasons) };
    case 'heartbeat':
      return { kind: 'heartbeat', serverTime: Number(message.value.serverTime) };
    case 'tick':
      return { kind: 'tick', bytes: message.value };
    case 'logRequest':
      return logRequestOf(message.value);
    default:
      // A message of a later version is a sign of life and nothing else.
      return { kind: 'heartbeat', serverTime: 0 };
  }
}

function logRequestOf({ log, offset, maxBytes }: LogRequest): SessionMessage {
  return { kind: 'log-request', log, offset, maxBytes };
}

function entriesOf({ epoch, revision, full, upserts, removed, more }: Entries): SessionMessage {
  const entries = upserts.map((entry) => receivedEntry(entry));
  return { kind: 'entries', epoch, revision, full, upserts: entries, removed, more };
}

function bundlesOf({ own, federated, crl }: WireBundles): SessionMessage {
  if (federated.length > MOST_BUNDLES) throw tooMany(federated.length, 'foreign bundles');
  if (crl.length > MOST_CRLS) throw tooMany(crl.length, 'CRLs');
  return {
    kind: 'bundles',
    own: own === undefined ? undefined : receivedBundle(own),
    federated: federated.map((bundle) => receivedBundle(bundle)),
    crls: crl.map((der) => Uint8Array.from(der)),
  };
}

function verdictOf({ state, reasons, reattestAt, graceEndsAt }: Verdict): SessionMessage {
  return {
    kind: 'verdict',
    state: stateNames.get(state) ?? String(state),
    reasons: reasonsOf(reasons),
    reattestAt: Number(reattestAt),
    graceEndsAt: Number(graceEndsAt),
  };
}

/** Reasons reach logs, the status line and workloads: a few, short, and on one line each. */
function reasonsOf(reasons: readonly Reason[]): Reason[] {
  return reasons.slice(0, MOST_REASONS).map(({ code, message }) => ({
    code: code.slice(0, 100),
    message: oneLine(message),
  }));
}

function tooMany(many: number, what: string): TouchmarkError {
  return new TouchmarkError('server_answer_invalid', `${many} ${what}`);
}
