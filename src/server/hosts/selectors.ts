import { makeSpiffeId, type SpiffeId, type TrustDomain } from '../../spiffe/id.js';
import { formatSelector, type Selector } from '../../spiffe/selector.js';
import type { Host } from '../model.js';

/** The node ID of a host: derived from its primary EK, never claimed. */
export function tpmNodeId(trustDomain: TrustDomain, hostId: string): SpiffeId {
  return makeSpiffeId(trustDomain, `/spire/agent/tpm/${hostId}`);
}

/**
 * All selectors of a host's node, sorted. They come from the EK certificates, the last verified quote, the judgement of
 * its evidence and the operator's labels; nothing that the agent merely said is among them.
 */
export function hostSelectors(host: Host): readonly Selector[] {
  const found = new Map<string, Selector>();
  const add = (type: string, value: string) => {
    const selector = { type, value };
    found.set(formatSelector(selector), selector);
  };
  for (const ek of host.eks) {
    add('tpm', `ek_hash:${ek.hash}`);
    if (ek.manufacturer !== '') add('tpm', `manufacturer:${ek.manufacturer}`);
    if (ek.model !== '') add('tpm', `model:${ek.model}`);
  }
  if (host.lastQuote !== undefined) add('tpm', `firmware:${host.lastQuote.firmwareVersion}`);
  for (const value of measured(host)) add('measure', value);
  for (const [key, value] of Object.entries(host.labels)) add('host', `label:${key}:${value}`);
  return [...found].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)).map(([, selector]) => selector);
}

/** Only of evidence that was found good: a host that is suspect, be it as a clone, or judged by no policy has none of them. */
function measured({ state, appraisal }: Host): string[] {
  if (state !== 'trusted' || appraisal?.verdict !== 'trusted') return [];
  const secure = appraisal.components.some(
    ({ component, result }) => component === 'secure-boot' && result === 'pass',
  );
  const ukis = (appraisal.ukis ?? []).map((label) => `uki:${label}`);
  return [`policy:${appraisal.policyName}`, ...(secure ? ['secureboot'] : []), ...ukis];
}
