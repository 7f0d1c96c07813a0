/** An authority over fakes whose time a test moves, and what the tests of its parts ask of it. */
import { silentLogger } from '../../../src/log.js';
import type { AuthorityDeps } from '../../../src/server/authority/authority.js';
import type { Authority } from '../../../src/server/contract.js';
import type { KeyManager } from '../../../src/server/key-managers/contract.js';
import { memoryKeyManager } from '../../../src/server/key-managers/memory.js';
import { parseTrustDomain } from '../../../src/spiffe/id.js';
import { readCertificate } from '../../../src/x509/read-certificate.js';
import { manualClock } from '../../fakes/manual-clock.js';
import { memoryDatastore } from '../../fakes/memory-datastore.js';

export const HOUR = 3_600_000;
export const trustDomain = parseTrustDomain('example.org');
export const config: AuthorityDeps['config'] = {
  trustDomain,
  ca: {
    keyType: 'ec-p256',
    ttl: 24 * 3600,
    subject: { country: 'DE', organization: 'Smithy', commonName: 'CA' },
  },
  jwt: { issuer: '', keyType: 'ec-p256' },
  bundleRefreshHint: 300,
};

export function world() {
  const clock = manualClock();
  const store = memoryDatastore();
  const keys = memoryKeyManager();
  const deps: AuthorityDeps = { config, store, keys, clock, logger: silentLogger() };
  return { clock, store, keys, deps };
}

export const ids = (authority: Authority) => ({
  x509: authority.bundle().x509Authorities.map(({ der }) => skidOf(der)),
  jwt: authority.bundle().jwtAuthorities.map(({ keyId }) => keyId),
});
export const skidOf = (der: Uint8Array) =>
  Buffer.from(readCertificate(der).subjectKeyId ?? []).toString('hex');

export async function heldKeys(keys: KeyManager, purpose: string): Promise<number> {
  const held = await Promise.all(Array.from({ length: 20 }, (_, n) => keys.get(`${purpose}-${n}`)));
  return held.filter((key) => key !== undefined).length;
}
