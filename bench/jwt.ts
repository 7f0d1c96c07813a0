// Our JWT-SVIDs against jose: node dist/bench/jwt.js
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { jwtVerify, SignJWT } from 'jose';
import { emptyBundle } from '../src/spiffe/bundle.js';
import { makeSpiffeId, parseTrustDomain } from '../src/spiffe/id.js';
import { signJwtSvid } from '../src/spiffe/jwt-svid.js';
import { verifyJwtSvid } from '../src/spiffe/verify-jwt-svid.js';

const now = Math.floor(Date.now() / 1000);
const domain = parseTrustDomain('example.org');
const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
const publicKey = createPublicKey(key);
const spki = publicKey.export({ format: 'der', type: 'spki' });
const bundle = {
  ...emptyBundle(domain),
  jwtAuthorities: [{ keyId: 'k', spki, expiresAt: 0, tainted: false }],
};
const claims = { sub: makeSpiffeId(domain, '/web'), aud: ['a'], iat: now, exp: now + 300 };
const token = signJwtSvid(claims, { key, keyId: 'k', alg: 'ES256' });

async function time(what: string, task: () => unknown): Promise<void> {
  for (let i = 0; i < 500; i++) await task();
  const cpu = process.cpuUsage();
  for (let i = 0; i < 5000; i++) await task();
  const { user, system } = process.cpuUsage(cpu);
  process.stdout.write(`${what}: ${((user + system) / 5000).toFixed(0)} us CPU\n`);
}

await time('sign, ours', () => signJwtSvid(claims, { key, keyId: 'k', alg: 'ES256' }));
await time('sign, jose', () =>
  new SignJWT(claims).setProtectedHeader({ alg: 'ES256', kid: 'k', typ: 'JWT' }).sign(key),
);
await time('verify, ours', () => verifyJwtSvid(token, { audience: 'a', bundles: bundle, now }));
await time('verify, jose', () => jwtVerify(token, publicKey, { audience: 'a' }));
