import type { Clock } from '../../clock.js';
import { TouchmarkError } from '../../errors.js';
import type { TrustDomain } from '../../spiffe/id.js';
import { buildCsr } from '../../x509/csr.js';
import { generateKey } from '../../x509/keys.js';
import type { NodeSvid, ServerApi } from '../server/api.js';
import type { Trust } from '../server/trust.js';
import { withDeadline } from '../signals.js';
import { checkNodeSvid } from './check-node-svid.js';

export interface RenewDeps {
  readonly clock: Clock;
  readonly trustDomain: TrustDomain;
  readonly trust: Pick<Trust, 'bundle'>;
  /** @throws TouchmarkError `server_away` while there is no connection */
  server(): Pick<ServerApi, 'renewAgent'>;
}

const RENEWAL_TIMEOUT_MS = 30_000;

/**
 * RenewAgent, for a node that cannot attest again: a new key, the same name.
 * @throws TouchmarkError what the server says; `server_answer_invalid` for an SVID of another name or key
 */
export async function renewAgent(deps: RenewDeps, held: NodeSvid, signal: AbortSignal): Promise<NodeSvid> {
  const key = await generateKey('ec-p256');
  const csr = buildCsr({ key });
  const limits = { clock: deps.clock, ms: RENEWAL_TIMEOUT_MS, signal };
  const chain = await withDeadline(limits, (limited) => deps.server().renewAgent(csr, limited));
  const renewed = checkNodeSvid(deps, { key, chain, reattestable: held.reattestable });
  if (renewed.id === held.id) return renewed;
  throw new TouchmarkError('server_answer_invalid', `the server renewed ${held.id} as ${renewed.id}`);
}
