import type { TpmAttestationConfig } from '../../src/config/server-config.js';
import { ekHash } from '../../src/tpm/spki.js';
import { type AttestWorld, attestWorld, serverLeaf, vendor } from './attest-world.js';
import { type ChipAgentOptions, chipAgent } from './chip-agent.js';
import { createSoftwareTpm, type SoftwareTpm, type SoftwareTpmOptions } from './software-tpm.js';

const authority = vendor();

/** A chip whose keys the server's vendor certified. */
export function genuine(options: SoftwareTpmOptions = {}): SoftwareTpm {
  return createSoftwareTpm({ authority, ...options });
}

/** A server that knows that vendor. */
export async function chipWorld(config: Partial<TpmAttestationConfig> = {}): Promise<AttestWorld> {
  return attestWorld({ authority, config });
}

export async function attestChip(
  server: AttestWorld,
  chip: SoftwareTpm,
  options: Partial<ChipAgentOptions> = {},
) {
  return server.attest(await chipAgent(chip, { serverLeaf, ...options }));
}

export function hashOf(chip: SoftwareTpm, template: Parameters<SoftwareTpm['ek']>[0] = 'p256-l2'): string {
  return ekHash(chip.ek(template).public);
}

/** Leaves one of the endorsement keys in the Hello. */
export function onlyKey(at: number): NonNullable<ChipAgentOptions['hello']> {
  return (hello) => ({ ...hello, endorsementKeys: hello.endorsementKeys.filter((_, index) => index === at) });
}

export { authority as testVendor };
