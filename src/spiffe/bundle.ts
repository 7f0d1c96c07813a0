import type { TrustDomain } from './id.js';

export interface X509Authority {
  /** One certificate, DER. */
  readonly der: Uint8Array;
  readonly tainted: boolean;
}

export interface JwtAuthority {
  readonly keyId: string;
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array;
  /** Unix seconds; 0 when it does not end. */
  readonly expiresAt: number;
  readonly tainted: boolean;
}

/** What one trust domain's members are verified with. Bundles of different domains are never merged. */
export interface Bundle {
  readonly trustDomain: TrustDomain;
  readonly x509Authorities: readonly X509Authority[];
  readonly jwtAuthorities: readonly JwtAuthority[];
  /** Seconds; 0 when the domain gave none. */
  readonly refreshHint: number;
  readonly sequence: bigint;
}

/** How often a bundle without a hint is fetched again, in seconds (Federation section 5). */
export const defaultRefreshHint = 300;

/** The seconds to wait before a bundle is fetched again: its hint, the default without one, and never less than `floor`. */
export function refreshInterval(bundle: Bundle, floor = 10): number {
  return Math.max(floor, bundle.refreshHint > 0 ? bundle.refreshHint : defaultRefreshHint);
}

/** A bundle that verifies nothing. */
export function emptyBundle(trustDomain: TrustDomain): Bundle {
  return { trustDomain, x509Authorities: [], jwtAuthorities: [], refreshHint: 0, sequence: 0n };
}
