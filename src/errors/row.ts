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

export interface ErrorRow {
  /** The gRPC status under which a peer sees it. */
  rpc: RpcCode;
  /** One sentence for the person who meets it. */
  remedy: string;
}

export function row(rpc: RpcCode, remedy: string): ErrorRow {
  return { rpc, remedy };
}
