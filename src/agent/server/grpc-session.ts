import { messageOf, TouchmarkError } from '../../errors.js';
import type { RpcClient } from '../../rpc/client.js';
import { HostState } from '../../wire/gen/touchmark/host/v1/state_pb.js';
import type { ServerMessage, Session } from '../../wire/gen/touchmark/session/v1/session_pb.js';
import type { Reason } from '../contract.js';
import type { SessionHello, SessionMessage, SessionStream } from './api.js';
import { type Distrust, fromServer } from './errors.js';
import { bundleFromWire, entryFromWire } from './from-wire.js';

const stateNames = new Map<number, string>(
  Object.entries(HostState).map(([name, value]) => [value, value === 0 ? '' : name.toLowerCase()]),
);

/** Opens a session stream; hello is on its way when this returns. */
export function openSession(
  client: RpcClient<typeof Session>,
  { distrust, ...hello }: SessionHello & { readonly agentVersion: string; readonly distrust: Distrust },
  signal: AbortSignal,
): SessionStream {
  const stream = client.open({ signal });
  // None of these is awaited: where the stream has ended, its reader learns it.
  const send = (message: Parameters<typeof stream.send>[0]['message']) => {
    stream.send(message === undefined ? {} : { message }).catch(() => {});
  };
  send({ case: 'hello', value: { ...hello, features: [] } });
  return {
    heartbeat: () => send({ case: 'heartbeat', value: {} }),
    fail: (code, message) => send({ case: 'failure', value: { code, message: message.slice(0, 500) } }),
    cancel: () => stream.cancel(),
    [Symbol.asyncIterator]: () => decoded(stream.responses, distrust),
  };
}

async function* decoded(
  messages: AsyncIterable<ServerMessage>,
  distrust: Distrust,
): AsyncGenerator<SessionMessage, void, undefined> {
  try {
    for await (const message of messages) yield readable(message);
  } catch (error) {
    throw fromServer(error, distrust);
  }
}

/** What cannot be read is told, not thrown: the session can ask for it again. */
function readable(wire: ServerMessage): SessionMessage {
  try {
    return messageFromWire(wire);
  } catch (error) {
    if (!(error instanceof TouchmarkError)) throw error;
    return { kind: 'unusable', why: `a message of kind ${wire.message.case}: ${messageOf(error)}` };
  }
}

function messageFromWire({ message }: ServerMessage): SessionMessage {
  switch (message.case) {
    case 'entries': {
      const { epoch, revision, full, upserts, removed, more } = message.value;
      return { kind: 'entries', epoch, revision, full, upserts: upserts.map(entryFromWire), removed, more };
    }
    case 'bundles': {
      const { own, federated, crl } = message.value;
      return {
        kind: 'bundles',
        own: own === undefined ? undefined : bundleFromWire(own),
        federated: federated.map(bundleFromWire),
        crls: crl.map((der) => Uint8Array.from(der)),
      };
    }
    case 'verdict': {
      const { state, reattestAt, graceEndsAt } = message.value;
      return {
        kind: 'verdict',
        state: stateNames.get(state) ?? String(state),
        reasons: reasonsOf(message.value.reasons),
        reattestAt: Number(reattestAt),
        graceEndsAt: Number(graceEndsAt),
      };
    }
    case 'withdraw':
      return { kind: 'withdraw', reasons: reasonsOf(message.value.reasons) };
    case 'heartbeat':
      return { kind: 'heartbeat', serverTime: Number(message.value.serverTime) };
    default:
      // A message of a later version is a sign of life and nothing else.
      return { kind: 'heartbeat', serverTime: 0 };
  }
}

function reasonsOf(reasons: readonly Reason[]): Reason[] {
  return reasons.map(({ code, message }) => ({ code, message }));
}
