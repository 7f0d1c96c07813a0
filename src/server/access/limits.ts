import type { Clock } from '../../clock.js';
import type { ServerConfig } from '../../config/server-config.js';
import { createRateLimiter } from './rate-limit.js';

/** What a call brings to the waiting. */
interface Waiting {
  readonly deadline: number | undefined;
  readonly signal: AbortSignal;
}

export interface Limit {
  /** @param address empty on the Unix socket, which is not limited */
  take(address: string, count: number, call: Waiting): Promise<void>;
}

/** Every limit of the API, by what it protects; each kind has buckets of its own. */
export interface Limits {
  readonly attest: Limit;
  readonly x509: Limit;
  readonly jwt: Limit;
  readonly publish: Limit;
  readonly postStatus: Limit;
}

const unlimited: Limit = { take: async () => {} };

export function createLimits(rates: ServerConfig['rateLimits'], clock: Clock): Limits {
  if (rates === undefined) {
    return { attest: unlimited, x509: unlimited, jwt: unlimited, publish: unlimited, postStatus: unlimited };
  }
  return {
    attest: limit(rates.attest, 'attestations', clock),
    x509: limit(rates.sign, 'X.509 signatures', clock),
    jwt: limit(rates.sign, 'JWT signatures', clock),
    publish: limit(rates.sign, 'published keys', clock),
    postStatus: limit(rates.postStatus, 'status reports', clock),
  };
}

function limit(rate: number, what: string, clock: Clock): Limit {
  const limiter = createRateLimiter({ rate, what, clock });
  return {
    async take(address, count, { deadline, signal }) {
      if (address === '') return;
      await limiter.take(address, count, deadline === undefined ? { signal } : { deadline, signal });
    },
  };
}
