import { messageOf, TouchmarkError } from '../../errors.js';
import type { Logger } from '../../log.js';
import { buildCsr } from '../../x509/csr.js';
import { generateKey } from '../../x509/keys.js';
import type { NodeAttestor } from '../node-attestors/contract.js';
import type { NodeSvid } from '../server/api.js';
import type { Dial, ServerChannel } from '../server/channel.js';
import type { Trust } from '../server/trust.js';
import { withDeadline } from '../signals.js';
import { checkNodeSvid, type NodeSvidCheck } from './check-node-svid.js';

export interface AttestNodeDeps extends NodeSvidCheck {
  readonly log: Logger;
  readonly trust: Trust;
  readonly attestor: NodeAttestor;
  readonly dial: Dial;
  /** The server's code for this host, which waits for an operator; empty when it waits no longer. */
  approvalCode(code: string): void;
}

const ATTESTATION_TIMEOUT_MS = 120_000;

/**
 * Proves this node to the server and returns its SVID: connect, learn the newest bundle, make a key, ask, answer, check.
 * @throws TouchmarkError what the attestor, the connection or the server says; `server_answer_invalid`
 */
export function attestNode(deps: AttestNodeDeps, signal: AbortSignal): Promise<NodeSvid> {
  return withDeadline({ clock: deps.clock, ms: ATTESTATION_TIMEOUT_MS, signal }, async (limited) => {
    if (deps.trust.bundle === undefined) await believeFirst(deps, limited);
    using channel = deps.dial(undefined);
    // The authority that will sign for us may be younger than the bundle that was kept.
    deps.trust.update(await channel.api.bundle(limited));
    return await prove(deps, channel, limited);
  });
}

/** The insecure first contact: the bundle of whoever answers, which from here on everybody is measured by. */
async function believeFirst({ dial, trust, log }: AttestNodeDeps, signal: AbortSignal): Promise<void> {
  using channel = dial(undefined);
  trust.update(await channel.api.bundle(signal));
  log.warn('INSECURE BOOTSTRAP: a bundle was taken from a server that nobody vouched for', {
    authorities: trust.bundle?.x509Authorities.length,
  });
}

async function prove(deps: AttestNodeDeps, channel: ServerChannel, signal: AbortSignal): Promise<NodeSvid> {
  const { attestor } = deps;
  // Fresh for each attestation, and never anywhere but in memory.
  const key = await generateKey('ec-p256');
  const csr = buildCsr({ key });
  const attempt = await attestor.begin(signal);
  let code = '';
  const answer = async (challenge: Uint8Array, serverLeaf: Uint8Array) => {
    const answered = await attempt.answer(challenge, { csr, serverLeaf });
    code = answered.approvalCode;
    return answered.response;
  };
  try {
    const opening = { type: attestor.type, payload: attempt.payload, csr };
    const { chain, reattestable } = await channel.attest(opening, answer, signal);
    // A secret that works once proves nothing twice, whatever the server says.
    const svid = checkNodeSvid(deps, { key, chain, reattestable: reattestable && attestor.reattestable });
    deps.approvalCode('');
    return svid;
  } catch (cause) {
    deps.approvalCode(waitsForApproval(cause) ? code : '');
    if (cause instanceof TouchmarkError) throw cause;
    throw new TouchmarkError('node_attestation_failed', `attestation failed: ${messageOf(cause)}`, { cause });
  }
}

/** A server names the code before it has decided; only its refusal says that somebody has to do something with it. */
function waitsForApproval(cause: unknown): boolean {
  return cause instanceof TouchmarkError && cause.detail['serverCode'] === 'enrolment_pending';
}
