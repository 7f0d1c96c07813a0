import type { AgentConfig } from '../../config/agent-config.js';
import type { NodeAttestor, NodeAttestorDeps } from './contract.js';
import { joinTokenAttestor } from './join-token.js';
import { tpmAttestor } from './tpm.js';
import { x509popAttestor } from './x509pop.js';

type Settings = AgentConfig['attestation'];
type Make<T extends Settings['type']> = (
  settings: Extract<Settings, { type: T }>,
  deps: NodeAttestorDeps,
) => NodeAttestor;

/** Every way in which this agent can prove its node: one file, one row. */
const attestors: { readonly [T in Settings['type']]: Make<T> } = {
  tpm: tpmAttestor,
  join_token: joinTokenAttestor,
  x509pop: x509popAttestor,
};

export function createNodeAttestor(deps: NodeAttestorDeps): NodeAttestor {
  const settings = deps.config.attestation;
  if (settings.type === 'tpm') return attestors.tpm(settings, deps);
  if (settings.type === 'join_token') return attestors.join_token(settings, deps);
  return attestors.x509pop(settings, deps);
}
