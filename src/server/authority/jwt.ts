import { type KeyObject, randomBytes } from 'node:crypto';
import { keyTypeOf } from '../../x509/keys.js';
import { exportSpki } from '../../x509/spki.js';
import type { JwtSigner } from '../contract.js';
import type { AuthorityRecord } from '../model.js';
import type { AuthorityKind } from './slots.js';

/** JWT authorities. Its ID is the key ID (`kid`): 32 random characters. */
export function jwtAuthorityKind(options: { readonly ttl: number }): AuthorityKind<JwtSigner> {
  return {
    purpose: 'jwt',
    oldKeys: 0,
    make: async (key, keyName, now) => ({
      id: randomBytes(24).toString('base64url'),
      purpose: 'jwt',
      slot: 'prepared',
      tainted: false,
      keyName,
      chain: [],
      published: exportSpki(key).toString('base64'),
      upstreamAuthorityId: '',
      issuedAt: now,
      expiresAt: now + options.ttl,
    }),
    signerOf,
  };
}

function signerOf(record: AuthorityRecord, key: KeyObject): JwtSigner | undefined {
  if (exportSpki(key).toString('base64') !== record.published) return undefined;
  return { id: record.id, key, algorithm: algorithmOf(key), notAfter: record.expiresAt };
}

function algorithmOf(key: KeyObject): JwtSigner['algorithm'] {
  const type = keyTypeOf(key);
  if (type === 'ec-p256') return 'ES256';
  return type === 'ec-p384' ? 'ES384' : 'RS256';
}
