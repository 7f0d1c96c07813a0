import type { SpiffeId, TrustDomain } from './id.js';
import type { Selector } from './selector.js';

/** A registration entry: which workload of which node gets which identity. Times are Unix seconds, TTLs seconds; 0 means unset. */
export interface Entry {
  readonly id: string;
  readonly spiffeId: SpiffeId;
  readonly parentId: SpiffeId;
  /** Sorted by their written form, without repetition. */
  readonly selectors: readonly Selector[];
  readonly x509SvidTtl: number;
  readonly jwtSvidTtl: number;
  readonly federatesWith: readonly TrustDomain[];
  readonly admin: boolean;
  readonly downstream: boolean;
  readonly expiresAt: number;
  readonly dnsNames: readonly string[];
  /** Counts the changes of this entry, from 0. */
  readonly revisionNumber: number;
  readonly storeSvid: boolean;
  readonly hint: string;
  readonly createdAt: number;
  readonly disableX509SvidPrefetch: boolean;
  readonly jwtSvidIncludeJti: boolean;
}
