/** Every way of attesting a node that there is, and how each is opened from the configuration. */
import type { Clock } from '../../clock.js';
import type { ServerConfig } from '../../config/server-config.js';
import type { Logger } from '../../log.js';
import type { TrustDomain } from '../../spiffe/id.js';
import type { Datastore } from '../datastores/contract.js';
import type { Enrolment } from '../hosts/enrol.js';
import type { AttestationMeasuring } from '../measurements/attestation.js';
import type { NodeEvents } from '../nodes/events.js';
import { readCaBundle, readEkAnchors } from './anchors.js';
import type { NodeAttestor } from './contract.js';
import { joinTokenAttestor } from './join-token.js';
import { tpmAttestor } from './tpm.js';
import { x509popAttestor } from './x509pop.js';

export interface NodeAttestorDeps {
  readonly trustDomain: TrustDomain;
  readonly store: Datastore;
  readonly clock: Clock;
  readonly log: Logger;
  readonly enrolment: Enrolment;
  readonly onEvent: NodeEvents;
  readonly measuring: AttestationMeasuring;
  /** The folder `data/ek-anchors` of this installation. */
  readonly vendorAnchorsDir: string;
}

type Attestation = ServerConfig['attestation'];
type Opener = (config: Attestation, deps: NodeAttestorDeps) => Promise<NodeAttestor> | undefined;

const openers: Readonly<Record<string, Opener>> = {
  tpm: ({ tpm }, deps) => tpm && openTpm(tpm, deps),
  join_token: ({ joinToken }, deps) => joinToken && Promise.resolve(joinTokenAttestor(deps)),
  x509pop: ({ x509pop }, deps) => x509pop && openX509pop(x509pop, deps),
};

export const knownAttestorTypes: readonly string[] = Object.keys(openers);

/**
 * The attestors that the operator configured, by type.
 * @throws TouchmarkError `anchors_unreadable`, `anchors_invalid`
 */
export async function openNodeAttestors(
  config: Attestation,
  deps: NodeAttestorDeps,
): Promise<ReadonlyMap<string, NodeAttestor>> {
  const opened = new Map<string, NodeAttestor>();
  for (const [type, open] of Object.entries(openers)) {
    const attestor = await open(config, deps);
    if (attestor !== undefined) opened.set(type, attestor);
  }
  return opened;
}

async function openTpm(
  config: NonNullable<Attestation['tpm']>,
  deps: NodeAttestorDeps,
): Promise<NodeAttestor> {
  return tpmAttestor({ ...deps, config, anchors: await readEkAnchors(config, deps.vendorAnchorsDir) });
}

async function openX509pop(
  { caBundleFiles }: NonNullable<Attestation['x509pop']>,
  deps: NodeAttestorDeps,
): Promise<NodeAttestor> {
  return x509popAttestor({ ...deps, anchors: await readCaBundle(caBundleFiles) });
}
