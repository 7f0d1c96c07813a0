/**
 * `join_token`: whoever knows a token that an operator made becomes the node of that name, once. Proves nothing about
 * hardware. The token is deleted in the batch that creates the node, under the condition that it is still there: of two
 * that race, one is refused. When the answer is lost on its way, the token is spent and an operator makes a new one; to
 * accept it again would be to accept a token that was overheard.
 */
import { createHash } from 'node:crypto';
import { type Clock, unixSeconds } from '../../clock.js';
import { TouchmarkError } from '../../errors.js';
import { makeSpiffeId, type TrustDomain } from '../../spiffe/id.js';
import type { Datastore } from '../datastores/contract.js';
import type { AttestationRequest, AttestedIdentity, NodeAttestor } from './contract.js';

export interface JoinTokenDeps {
  readonly trustDomain: TrustDomain;
  readonly store: Datastore;
  readonly clock: Clock;
}

const MAX_TOKEN_BYTES = 255;

/** How a token is stored and looked up: hex SHA-256. */
export function joinTokenHash(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

export function joinTokenAttestor(deps: JoinTokenDeps): NodeAttestor {
  return { type: 'join_token', attest: (request) => attestToken(deps, request) };
}

async function attestToken(deps: JoinTokenDeps, { payload }: AttestationRequest): Promise<AttestedIdentity> {
  if (payload.length === 0 || payload.length > MAX_TOKEN_BYTES) throw unknownToken();
  const token = Buffer.from(payload).toString('utf8');
  const key = joinTokenHash(token);
  const stored = await deps.store.get('join_token', key);
  if (stored === undefined) throw unknownToken();
  const conditions = [{ kind: 'join_token', key, revision: stored.revision }] as const;
  const writes = [{ kind: 'join_token', key, deleted: true }] as const;
  if (stored.value.expiresAt <= unixSeconds(deps.clock)) {
    // Best effort: what is refused either way need not be kept.
    await deps.store.commit(writes, conditions).catch(() => {});
    throw new TouchmarkError('join_token_invalid', 'the join token has expired');
  }
  const nodeId = makeSpiffeId(deps.trustDomain, `/spire/agent/join_token/${token}`);
  return { nodeId, selectors: [], canReattest: false, writes, conditions };
}

function unknownToken(): TouchmarkError {
  return new TouchmarkError('join_token_invalid', 'the join token does not exist or was used already');
}
