import type { Clock } from '../../clock.js';
import type { ServerConfig } from '../../config/server-config.js';
import type { Disposal } from '../../disposal.js';
import type { Logger } from '../../log.js';
import type { Audit } from '../access/audit.js';
import type { Authority, Registry } from '../contract.js';
import type { Datastore } from '../datastores/contract.js';
import type { Serials } from '../issuing/serials.js';
import { type DenyPublisher, openDenyPublisher } from './publisher.js';
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

/** The CRLs as sessions send them. */
export function crlsOf({ publisher }: Deny) {
  return {
    current: () => publisher.current().crls.map(({ der }) => der),
    onChange: publisher.onChange,
  };
}
