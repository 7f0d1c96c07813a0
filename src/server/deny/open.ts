import type { Clock } from '../../clock.js';
import type { ServerConfig } from '../../config/server-config.js';
import type { Disposal } from '../../disposal.js';
import type { Logger } from '../../log.js';
import { boundCrls } from '../../x509/crl-bounds.js';
import type { Audit } from '../access/audit.js';
import type { Authority, Registry } from '../contract.js';
import type { Datastore } from '../datastores/contract.js';
import type { Serials } from '../issuing/serials.js';
import { type DenyPublisher, openDenyPublisher, type Publication } from './publisher.js';
import { openWithdrawals, type Withdrawals } from './withdrawals.js';

export interface DenyParts {
  readonly config: Pick<ServerConfig, 'trustDomain' | 'deny'>;
  readonly store: Datastore;
  readonly registry: Registry;
  readonly authority: Authority;
  readonly serials: Serials;
  readonly clock: Clock;
  readonly log: Logger;
  readonly audit: Audit;
}

/** What was withdrawn, and how relying parties learn of it. */
export interface Deny {
  readonly withdrawals: Withdrawals;
  readonly publisher: DenyPublisher;
}

/** Seconds, where the configuration says nothing. */
const DEFAULT_LIFETIME = 24 * 3600;

export async function openDeny(parts: DenyParts, disposal: Disposal): Promise<Deny> {
  const { trustDomain, deny } = parts.config;
  const withdrawals = disposal.use(await openWithdrawals({ ...parts, trustDomain }));
  const lifetime = deny?.lifetime ?? DEFAULT_LIFETIME;
  const publisher = disposal.use(await openDenyPublisher({ ...parts, trustDomain, withdrawals, lifetime }));
  return { withdrawals, publisher };
}

/** The CRLs as sessions send them: of more than they have room for the largest are left out, which is told once for each publication. */
export function crlsOf({ publisher }: Deny, log: Logger) {
  const bounded = new WeakMap<Publication, readonly Uint8Array[]>();
  const boundedOf = (publication: Publication): readonly Uint8Array[] => {
    const { kept, leftOut } = boundCrls(publication.crls);
    if (leftOut.length > 0) {
      const authorities = leftOut.map(({ authorityId }) => authorityId);
      log.error('the CRLs are too large to be sent to agents: these are to be had over HTTPS only', {
        authorities,
      });
    }
    return kept.map(({ der }) => der);
  };
  return {
    current() {
      const publication = publisher.current();
      const crls = bounded.get(publication) ?? boundedOf(publication);
      bounded.set(publication, crls);
      return crls;
    },
    onChange: publisher.onChange,
  };
}
