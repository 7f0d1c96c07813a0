import { fromBinary } from '@bufbuild/protobuf';
import { type Any, anyUnpack } from '@bufbuild/protobuf/wkt';
import { Metadata, type StatusObject, status } from '@grpc/grpc-js';
import { ErrorInfoSchema, StatusSchema } from '../wire/gen/google/rpc/status_pb.js';
import { DETAILS_TRAILER, ERROR_DOMAIN, statusName } from './error-status.js';

/** What a call failed with, as its server said it. The words are the peer's: to be shown as such, never interpreted. */
export class RpcError extends Error {
  override readonly name = 'RpcError';
  readonly status: status;
  /** Decoded details; empty when there were none or they could not be read. */
  readonly details: readonly Any[];

  constructor(code: status, message: string, details: readonly Any[] = []) {
    super(message);
    this.status = code;
    this.details = details;
  }

  get rpc(): ReturnType<typeof statusName> {
    return statusName(this.status);
  }

  /** The error code of a Touchmark peer; undefined from others. */
  get code(): string | undefined {
    for (const detail of this.details) {
      const info = unpackInfo(detail);
      if (info?.domain === ERROR_DOMAIN) return info.reason;
    }
    return undefined;
  }
}

export function isRpcError(error: unknown, ...codes: (keyof typeof status)[]): error is RpcError {
  if (!(error instanceof RpcError)) return false;
  return codes.length === 0 || codes.some((code) => status[code] === error.status);
}

/** From what grpc-js ends a call with. */
export function rpcErrorOf(end: Partial<StatusObject>): RpcError {
  return new RpcError(end.code ?? status.UNKNOWN, plainReason(end.details ?? ''), detailsOf(end.metadata));
}

/** grpc-js wraps why a socket could not be opened into three sentences of which the middle one matters. */
function plainReason(details: string): string {
  const wrapped = /^No connection established\. Last error: (?:Error: )?(.+?)\. Resolution note: .*$/s;
  return wrapped.exec(details)?.[1] ?? details;
}

function detailsOf(metadata: unknown): readonly Any[] {
  if (!(metadata instanceof Metadata)) return [];
  const [value] = metadata.get(DETAILS_TRAILER);
  if (!Buffer.isBuffer(value)) return [];
  try {
    return fromBinary(StatusSchema, new Uint8Array(value)).details;
  } catch {
    return [];
  }
}

function unpackInfo(detail: Any) {
  try {
    return anyUnpack(detail, ErrorInfoSchema);
  } catch {
    return undefined;
  }
}
