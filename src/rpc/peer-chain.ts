import type { DetailedPeerCertificate, TLSSocket } from 'node:tls';

/** Longest chain that is read from a peer. */
const MAX_CHAIN = 8;

/**
 * The certificates that the peer showed, DER, leaf first, in the order in which they issue one another; empty when it
 * showed none. Says nothing about trust.
 *
 * Not by getPeerX509Certificate(): on a client's socket that takes the certificates out of the connection, and whoever
 * asks next finds none.
 */
export function peerChain(socket: TLSSocket): Uint8Array[] {
  const chain: Uint8Array[] = [];
  let next: Partial<DetailedPeerCertificate> | undefined = socket.getPeerCertificate(true);
  while (next?.raw !== undefined && chain.length < MAX_CHAIN) {
    chain.push(new Uint8Array(next.raw));
    // A self-signed one is its own issuer.
    next = next.issuerCertificate === next ? undefined : next.issuerCertificate;
  }
  return chain;
}
