import { type KeyObject, sign } from 'node:crypto';
import { type Bundle, emptyBundle, type JwtAuthority } from '../../src/spiffe/bundle.js';
import { makeSpiffeId, parseTrustDomain, type TrustDomain } from '../../src/spiffe/id.js';
import { type JwtSvidRules, verifyJwtSvid } from '../../src/spiffe/verify-jwt-svid.js';
import { generateKey } from '../../src/x509/keys.js';
import { exportSpki } from '../../src/x509/spki.js';
import { ecKey } from './der-factory.js';
import { throwsCode } from './rejects.js';

export const now = 1_790_000_000;
export const domain = parseTrustDomain('example.org');
export const sub = makeSpiffeId(domain, '/web');
export const [p256, p384, p521, rsa] = [
  ecKey(),
  ecKey('P-384'),
  ecKey('P-521'),
  await generateKey('rsa-2048'),
];
export const authority = (keyId: string, key: KeyObject): JwtAuthority => ({
  keyId,
  spki: exportSpki(key),
  expiresAt: 0,
  tainted: false,
});
export const bundleOf = (name: TrustDomain, ...jwtAuthorities: JwtAuthority[]): Bundle => ({
  ...emptyBundle(name),
  jwtAuthorities,
});
export const bundle = bundleOf(
  domain,
  authority('k1', p256),
  authority('k2', p384),
  authority('k3', p521),
  authority('r', rsa),
);
export const rules: JwtSvidRules = { audience: 'b', bundles: bundle, now };

export const base64url = (value: unknown) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
export const goodHeader = { alg: 'ES256', kid: 'k1', typ: 'JWT' };
export const goodClaims = { sub, aud: ['a', 'b'], iat: now, exp: now + 300 };

/** Signs whatever it is given with the P-256 key, as a valid ES256 token would be. */
export function token(header: unknown, claims: unknown, key = p256): string {
  const input = `${base64url(header)}.${base64url(claims)}`;
  return `${input}.${sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}
export const withHeader = (change: object) => token({ ...goodHeader, ...change }, goodClaims);
export const withClaims = (change: object) => token(goodHeader, { ...goodClaims, ...change });
export const accepts = (text: string, changes: Partial<JwtSvidRules> = {}) =>
  verifyJwtSvid(text, { ...rules, ...changes });
export const refuses = (message: RegExp, text: string, changes: Partial<JwtSvidRules> = {}) =>
  throwsCode('jwt_svid_invalid', message, () => accepts(text, changes), text.slice(0, 60));

export const good = token(goodHeader, goodClaims);
