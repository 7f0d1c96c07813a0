import { create, toBinary } from '@bufbuild/protobuf';
import { type Any, anyPack } from '@bufbuild/protobuf/wkt';
import { Metadata, status } from '@grpc/grpc-js';
import { type RpcCode, TouchmarkError } from '../errors.js';
import { ErrorInfoSchema, StatusSchema } from '../wire/gen/google/rpc/status_pb.js';

/** Trailer in which gRPC carries a google.rpc.Status. */
export const DETAILS_TRAILER = 'grpc-status-details-bin';
/** Domain of the ErrorInfo that every refusal of ours carries: its reason is the error's code. */
export const ERROR_DOMAIN = 'touchmark';

/** Header blocks are limited on the other side: a message or details beyond these would cost the whole answer. */
const MAX_MESSAGE_CHARS = 2000;
const MAX_DETAILS_BYTES = 6 * 1024;

/** What grpc-js sends as the end of a call. */
export interface CallStatus {
  readonly code: status;
  readonly details: string;
  readonly metadata: Metadata;
}

const attached = new WeakMap<TouchmarkError, readonly Any[]>();

/** Adds typed details that travel beside the message; returns the same error, so that it can be thrown at once. */
export function withDetails(error: TouchmarkError, details: readonly Any[]): TouchmarkError {
  attached.set(error, [...(attached.get(error) ?? []), ...details]);
  return error;
}

export function statusNumber(code: RpcCode): status {
  return status[code];
}

/** Name of a status number; anything outside the registry reads as UNKNOWN. */
export function statusName(code: number): RpcCode | 'OK' | 'UNKNOWN' {
  return (status[code] as RpcCode | 'OK' | undefined) ?? 'UNKNOWN';
}

/**
 * What a peer is told about an error. A TouchmarkError keeps its message and code; anything else is a fault of ours, of
 * which the peer learns only the request's number (the caller of this function logs the rest).
 */
export function errorToStatus(error: unknown, requestId: string): CallStatus {
  if (!(error instanceof TouchmarkError)) {
    return {
      code: status.INTERNAL,
      details: `internal error (request ${requestId})`,
      metadata: new Metadata(),
    };
  }
  const code = statusNumber(error.rpc);
  const details = wireMessage(error.message);
  return { code, details, metadata: detailsTrailer(error, code, details) };
}

function detailsTrailer(error: TouchmarkError, code: status, message: string): Metadata {
  const reason = create(ErrorInfoSchema, { reason: error.code, domain: ERROR_DOMAIN });
  const details = [anyPack(ErrorInfoSchema, reason), ...(attached.get(error) ?? [])];
  const bytes = toBinary(StatusSchema, create(StatusSchema, { code, message, details }));
  const metadata = new Metadata();
  if (bytes.length <= MAX_DETAILS_BYTES) metadata.set(DETAILS_TRAILER, Buffer.from(bytes));
  return metadata;
}

/** grpc-js percent-encodes the message with encodeURI, which throws on half of a surrogate pair. */
function wireMessage(text: string): string {
  const short = text.length > MAX_MESSAGE_CHARS ? `${text.slice(0, MAX_MESSAGE_CHARS)}…` : text;
  return short.replace(/\p{Surrogate}/gu, '\ufffd');
}
