import type { DescService } from '@bufbuild/protobuf';
import { TouchmarkError } from '../errors.js';
import type { RpcChannel } from '../rpc/channel.js';
import { type CallOptions, createRpcClient, type RpcClient } from '../rpc/client.js';
import { isRpcError } from '../rpc/rpc-error.js';

/** How long one call of a verb may take: a server that hangs must not hang a script. */
export const CALL_MS = 60_000;

/** A client whose unary calls end with the signal and after CALL_MS; streams are left to their callers. */
export function boundedClient<S extends DescService>(
  service: S,
  channel: RpcChannel,
  signal: AbortSignal,
): RpcClient<S> {
  const client = createRpcClient(service, channel) as Record<string, unknown>;
  const unary = service.methods.filter((method) => method.methodKind === 'unary');
  const bounded = unary.map(({ localName }) => {
    const call = client[localName] as (request: unknown, options: CallOptions) => Promise<unknown>;
    const bound = (request: unknown, options: CallOptions = {}) =>
      call(request, { signal, deadline: Date.now() + CALL_MS, ...options });
    return [localName, bound];
  });
  return { ...client, ...Object.fromEntries(bounded) } as RpcClient<S>;
}

/** Says so when nobody answered; what a peer said by itself stays as it is. `who`: "a server at /path". */
export function unreachable(
  code: 'server_unreachable' | 'agent_unreachable',
  who: string,
  error: unknown,
): unknown {
  if (isRpcError(error, 'DEADLINE_EXCEEDED'))
    return new TouchmarkError(code, `${who} did not answer in time`, { cause: error });
  if (!isRpcError(error, 'UNAVAILABLE') || error.code) return error;
  return new TouchmarkError(code, `cannot reach ${who}: ${error.message}`, { cause: error });
}
