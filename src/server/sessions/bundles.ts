/** The bundles that a node needs, in one message of bounded size. Pure. */
import type { Bundle } from '../../spiffe/bundle.js';

export interface BoundedBundles {
  readonly own: Bundle;
  readonly federated: readonly Bundle[];
  /** The trust domains whose bundles do not fit: the node's workloads cannot verify their members. */
  readonly leftOut: readonly string[];
}

/**
 * In the order that they are given, leaving out what does not fit beside the own bundle: a message that is larger than its
 * reader takes would end the session again and again, and with it everything else that the node is told.
 */
export function boundBundles(own: Bundle, wanted: readonly Bundle[], maxBytes: number): BoundedBundles {
  const federated: Bundle[] = [];
  const leftOut: string[] = [];
  let size = bundleSize(own);
  for (const bundle of wanted) {
    const bytes = bundleSize(bundle);
    if (size + bytes > maxBytes) {
      leftOut.push(bundle.trustDomain);
      continue;
    }
    size += bytes;
    federated.push(bundle);
  }
  return { own, federated, leftOut };
}

/** Not less than what the bundle takes on the wire. */
export function bundleSize({ trustDomain, x509Authorities, jwtAuthorities }: Bundle): number {
  const x509 = x509Authorities.reduce((sum, { der }) => sum + der.length + 16, 0);
  const jwt = jwtAuthorities.reduce(
    (sum, { keyId, spki }) => sum + Buffer.byteLength(keyId) + spki.length + 40,
    0,
  );
  return trustDomain.length + 64 + x509 + jwt;
}

export function sizeOfCrls(crls: readonly Uint8Array[]): number {
  return crls.reduce((sum, der) => sum + der.length + 8, 0);
}

/** The same objects in the same order. */
export function sameItems(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((one, at) => one === b[at]);
}
