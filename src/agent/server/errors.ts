import { anyUnpack } from '@bufbuild/protobuf/wkt';
import { type ErrorCode, messageOf, TouchmarkError } from '../../errors.js';
import { isRpcError, type RpcError } from '../../rpc/rpc-error.js';
import {
  PermissionDeniedDetailsSchema,
  PermissionDeniedDetails_Reason as Reason,
} from '../../wire/gen/spire/types_pb.js';

/** Why the last connection was not believed; undefined when it was. gRPC itself only says that there is none. */
export type Distrust = () => TouchmarkError | undefined;

/**
 * A failed call in the agent's own words. The server's sentence is passed on as its own; `detail.serverCode` is its error
 * code where the server is a Touchmark.
 */
export function fromServer(error: unknown, distrust: Distrust): TouchmarkError {
  if (error instanceof TouchmarkError) return error;
  if (!isRpcError(error)) {
    return new TouchmarkError('server_away', `the call to the server failed: ${messageOf(error)}`, {
      cause: error,
    });
  }
  if (isRpcError(error, 'UNAVAILABLE')) {
    const untrusted = distrust();
    if (untrusted !== undefined) return untrusted;
  }
  const away = codeFor(error) === 'server_away';
  const message = `${away ? 'the server cannot be reached' : 'the server says'}: ${oneLine(error.message)}`;
  const detail = { status: error.rpc, serverCode: error.code };
  return new TouchmarkError(codeFor(error), message, { cause: error, detail });
}

function codeFor(error: RpcError): ErrorCode {
  if (isRpcError(error, 'UNIMPLEMENTED')) return 'server_unimplemented';
  if (isRpcError(error, 'UNAVAILABLE', 'DEADLINE_EXCEEDED', 'CANCELLED')) return 'server_away';
  if (!isRpcError(error, 'PERMISSION_DENIED', 'UNAUTHENTICATED')) return 'server_refused';
  const reason = reasonOf(error);
  if (reason === Reason.AGENT_BANNED) return 'node_banned';
  // Every other reason that a server gives about the agent itself is mended by attesting again.
  return reason === undefined || reason === Reason.UNKNOWN ? 'server_refused' : 'node_refused';
}

function reasonOf(error: RpcError): Reason | undefined {
  for (const detail of error.details) {
    try {
      const found = anyUnpack(detail, PermissionDeniedDetailsSchema);
      if (found !== undefined) return found.reason;
    } catch {
      // A detail that cannot be read says nothing.
    }
  }
  return undefined;
}

/** A server's own words, short and without what would drive a terminal or break a line of the log. */
export function oneLine(text: string): string {
  return text.replaceAll(/[\s\p{Cc}]+/gu, ' ').slice(0, 500);
}
