/**
 * For all CRLs that travel together to a relying party, in bytes: 50 000 serial numbers, which is all that a deny feed lists,
 * and beside them room for SVIDs and bundles in the 4 MiB that gRPC takes when nobody says otherwise.
 */
export const MOST_CRL_BYTES = 2.5 * 1024 * 1024;

export interface BoundedCrls<T> {
  readonly kept: readonly T[];
  /** The largest ones, which are left out because all together are too large: each is whole or not there. */
  readonly leftOut: readonly T[];
}

/** In the order in which they are given. */
export function boundCrls<T extends { readonly der: Uint8Array }>(
  crls: readonly T[],
  maxBytes = MOST_CRL_BYTES,
): BoundedCrls<T> {
  const leftOut = new Set<T>();
  let size = crls.reduce((sum, { der }) => sum + der.length + OVERHEAD, 0);
  for (const crl of [...crls].sort((a, b) => b.der.length - a.der.length)) {
    if (size <= maxBytes) break;
    size -= crl.der.length + OVERHEAD;
    leftOut.add(crl);
  }
  return { kept: crls.filter((crl) => !leftOut.has(crl)), leftOut: [...leftOut] };
}

/** Tag and length of a field. */
const OVERHEAD = 8;
