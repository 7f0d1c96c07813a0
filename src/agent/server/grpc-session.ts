import type { RpcClient } from '../../rpc/client.js';
import type { ServerMessage, Session } from '../../wire/gen/touchmark/session/v1/session_pb.js';
import { evidenceToWire, partToWire } from '../measure/wire.js';
import type { SessionHello, SessionMessage, SessionStream } from './api.js';
import { type Distrust, fromServer } from './errors.js';
import { sessionMessage } from './session-message.js';

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
  send({ case: 'hello', value: { ...hello, features: [...hello.features] } });
  return {
    heartbeat: () => send({ case: 'heartbeat', value: {} }),
    fail: (code, message) => send({ case: 'failure', value: { code, message: message.slice(0, 500) } }),
    evidence: (evidence) => send({ case: 'evidence', value: evidenceToWire(evidence) }),
    logPart: (part) => send({ case: 'logPart', value: partToWire(part) }),
    growth: (imaEntries) => send({ case: 'growth', value: { imaEntries: BigInt(imaEntries) } }),
    cancel: () => stream.cancel(),
    [Symbol.asyncIterator]: () => decoded(stream.responses, distrust),
  };
}

async function* decoded(
  messages: AsyncIterable<ServerMessage>,
  distrust: Distrust,
): AsyncGenerator<SessionMessage, void, undefined> {
  try {
    for await (const message of messages) yield sessionMessage(message);
  } catch (error) {
    throw fromServer(error, distrust);
  }
}
