import { type Clock, unixSeconds } from '../../clock.js';
import { TouchmarkError } from '../../errors.js';
import { isMemberOf, pathOf, type TrustDomain } from '../../spiffe/id.js';
import { checkReceivedSvid } from '../identities/received-svid.js';
import type { NodeSvid } from '../server/api.js';
import type { Trust } from '../server/trust.js';

export interface NodeSvidCheck {
  readonly clock: Clock;
  readonly trustDomain: TrustDomain;
  readonly trust: Pick<Trust, 'bundle'>;
}

/**
 * The SVID must be ours: our key, an agent's name in our domain, a chain to the bundle. Does not establish which agent we
 * are: that the server decides.
 * @throws TouchmarkError `server_untrusted` without a bundle, `server_answer_invalid`, `x509_svid_invalid`, `chain_untrusted`
 */
export function checkNodeSvid(
  { clock, trustDomain, trust: { bundle } }: NodeSvidCheck,
  { key, chain: received, reattestable }: Pick<NodeSvid, 'key' | 'chain' | 'reattestable'>,
): NodeSvid {
  if (bundle === undefined)
    throw new TouchmarkError('server_untrusted', 'no bundle is held to check the SVID by');
  const { id, chain, notBefore, expiresAt } = checkReceivedSvid(received, key, bundle, unixSeconds(clock));
  if (!isMemberOf(id, trustDomain) || !pathOf(id).startsWith('/spire/agent/')) {
    throw new TouchmarkError('server_answer_invalid', `the server issued ${id}, which is no agent's ID`);
  }
  return { id, chain, key, notBefore, expiresAt, reattestable };
}
