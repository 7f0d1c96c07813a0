/** gRPC status names, as docs and logs show them. */
export type RpcCode =
  | 'CANCELLED'
  | 'INVALID_ARGUMENT'
  | 'DEADLINE_EXCEEDED'
  | 'NOT_FOUND'
  | 'ALREADY_EXISTS'
  | 'PERMISSION_DENIED'
  | 'RESOURCE_EXHAUSTED'
  | 'FAILED_PRECONDITION'
  | 'ABORTED'
  | 'OUT_OF_RANGE'
  | 'UNIMPLEMENTED'
  | 'INTERNAL'
  | 'UNAVAILABLE'
  | 'DATA_LOSS'
  | 'UNAUTHENTICATED';

interface ErrorRow {
  /** The gRPC status under which a peer sees it. */
  rpc: RpcCode;
  /** One sentence for the person who meets it. */
  remedy: string;
}

const row = (rpc: RpcCode, remedy: string): ErrorRow => ({ rpc, remedy });

/**
 * Every error code, sorted by layer: one line each, never renamed and never reused.
 * docs/errors.md is generated from this table.
 */
export const errorTable = {
  // spiffe
  spiffe_id_invalid: row(
    'INVALID_ARGUMENT',
    'Write it as spiffe://trust-domain/path with lower-case domain and plain segments.',
  ),
  trust_domain_invalid: row('INVALID_ARGUMENT', 'Use at most 255 characters out of a-z 0-9 . - _ only.'),
  selector_invalid: row('INVALID_ARGUMENT', 'Write a selector as type:value, for example unix:uid:1000.'),
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof errorTable;
