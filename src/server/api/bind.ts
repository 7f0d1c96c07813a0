import type { DescMethod, DescService, Message } from '@bufbuild/protobuf';
import type { Call, ServiceImpl } from '../../rpc/call.js';
import { type Connected, type Gate, withReason } from '../access/gate.js';
import { actingFor, streamingFor } from '../record/actor.js';
import type { ApiCall, ApiService } from './service.js';

type AnyUnary = (request: Message, call: ApiCall) => Promise<Message>;
/** What comes in is one message or a stream of them; what goes out is a stream. */
type AnyStream = (requests: Message | AsyncIterable<Message>, call: ApiCall) => AsyncIterable<Message>;

/**
 * Puts a service behind the gate: each method is given the call as the gate saw it, what it commits is recorded
 * as the caller's doing, and refusals of agents get their reason.
 */
export function bindService<S extends DescService>(
  service: S,
  api: ApiService<S>,
  gate: Gate,
): ServiceImpl<S, Connected> {
  const bound: Record<string, unknown> = {};
  for (const method of service.methods) bound[method.localName] = bindMethod(method, api, gate);
  return bound as ServiceImpl<S, Connected>;
}

function bindMethod(method: DescMethod, api: object, gate: Gate): unknown {
  const handler: unknown = new Map(Object.entries(api)).get(method.localName);
  if (method.methodKind === 'unary') {
    const run = handler as AnyUnary;
    return async (request: Message, call: Call<Connected>) => {
      const apiCall = gate.callOf(call);
      try {
        return await actingFor(apiCall.caller, () => run(request, apiCall));
      } catch (error) {
        throw withReason(error);
      }
    };
  }
  const run = handler as AnyStream;
  return (requests: Message | AsyncIterable<Message>, call: Call<Connected>) => {
    const apiCall = gate.callOf(call);
    return reasoned(streamingFor(apiCall.caller, () => run(requests, apiCall)));
  };
}

async function* reasoned<T>(source: AsyncIterable<T>): AsyncGenerator<T> {
  try {
    yield* source;
  } catch (error) {
    throw withReason(error);
  }
}
