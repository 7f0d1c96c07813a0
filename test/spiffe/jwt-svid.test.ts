import assert from 'node:assert/strict';
import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { test } from 'node:test';
import { decodeProtectedHeader, SignJWT } from 'jose';
import { jwsAlgorithms } from '../../src/spiffe/jws.js';
import { signJwtSvid } from '../../src/spiffe/jwt-svid.js';
import { exportSpki } from '../../src/x509/spki.js';
import { badSpiffeIds } from '../support/ids.js';
import {
  accepts,
  authority,
  base64url,
  bundleOf,
  domain,
  good,
  goodClaims,
  now,
  p256,
  p384,
  p521,
  refuses,
  rsa,
  sub,
  token,
  withClaims,
  withHeader,
} from '../support/jwt-factory.js';

test('a good token gives its subject, audiences, times and claims', () => {
  const svid = accepts(good);
  assert.equal(svid.id, sub);
  assert.deepEqual(svid.audience, ['a', 'b']);
  assert.deepEqual([svid.expiresAt, svid.issuedAt, svid.notBefore], [now + 300, now, undefined]);
  assert.equal(JSON.stringify(svid.claims), JSON.stringify(goodClaims));
});

test('JS-01: only the compact serialisation is read', () => {
  const [header = '', payload = '', signature = ''] = good.split('.');
  refuses(/1 parts instead of three/, JSON.stringify({ protected: header, payload, signature }));
  refuses(/1 parts instead/, JSON.stringify({ payload, signatures: [{ protected: header, signature }] }));
  refuses(/5 parts/, `${good}.x.y`);
  refuses(/2 parts/, `${header}.${payload}`);
  refuses(/4 parts/, `${good}.x`);
  refuses(/signature is empty or not base64url/, `${header}.${payload}.`);
  refuses(/payload is not base64url/, `${header}.${payload}=.${signature}`);
  refuses(/header is not base64url/, ` ${good}`);
  refuses(/signature is empty or not base64url/, `${good}\n`);
  refuses(/payload is not base64url/, `${header}.${payload.slice(0, 8)}\n${payload.slice(8)}.${signature}`);
  refuses(/signature is empty or not base64url/, `${header}.${payload}.${signature}==`);
  const standard = `${header}.${payload}.+/${signature.slice(2)}`;
  refuses(/signature is empty or not base64url/, standard);
  refuses(/header is not valid/, '..');
  refuses(/1 parts/, '');
  refuses(/longer than 16384 characters/, `${good}${'x'.repeat(16_384)}`);
});

test('section 15: base64url is canonical, so one token has one spelling', () => {
  const last = good.at(-1) ?? '';
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const spelled = `${good.slice(0, -1)}${alphabet[alphabet.indexOf(last) ^ 1]}`;
  assert.deepEqual(
    Buffer.from(spelled.split('.')[2] ?? '', 'base64url'),
    Buffer.from(good.split('.')[2] ?? '', 'base64url'),
  );
  refuses(/signature is empty or not base64url/, spelled);
});

test('JS-02, D-4: the header has alg, kid and typ, and nothing else', () => {
  const names = ['crit', 'b64', 'jwk', 'jku', 'x5u', 'x5c', 'x5t', 'x5t#S256', 'cty', 'foo'];
  for (const name of names)
    refuses(/header has the member "/, withHeader({ [name]: name === 'crit' ? ['foo'] : 'x' }));
  const ours = signJwtSvid(goodClaims, { key: p256, keyId: 'k1', alg: 'ES256' });
  assert.deepEqual(decodeProtectedHeader(ours), { alg: 'ES256', kid: 'k1', typ: 'JWT' });
});

test('JS-03: the algorithm is one of nine, and is looked at before anything else', () => {
  const bad = [
    'none',
    'None',
    'HS256',
    'HS384',
    'HS512',
    'EdDSA',
    'Ed25519',
    'ES256K',
    'ML-DSA-44',
    'rs256',
    '',
    256,
    ['ES256'],
    null,
    undefined,
  ];
  for (const alg of bad) refuses(/^the token's algorithm .* is not allowed$/, withHeader({ alg }));
  const [header] = token({ alg: 'none', crit: ['x'] }, {}).split('.');
  refuses(/algorithm "none" is not allowed/, `${header}.not json.x`);
});

test('JS-03, JS-16: all nine algorithms are verified, as jose signs them', async () => {
  const keys: Record<string, [string, KeyObject]> = {
    ES256: ['k1', p256],
    ES384: ['k2', p384],
    ES512: ['k3', p521],
  };
  for (const alg of jwsAlgorithms) {
    const [kid, key] = keys[alg] ?? ['r', rsa];
    const made = await new SignJWT(goodClaims).setProtectedHeader({ alg, kid }).sign(key);
    assert.equal(accepts(made).algorithm, alg);
  }
});

test('JS-04: the key fits the algorithm', () => {
  refuses(/key does not fit algorithm RS256/, withHeader({ alg: 'RS256' }));
  refuses(/key does not fit algorithm PS512/, withHeader({ alg: 'PS512' }));
  refuses(/key does not fit algorithm ES256/, withHeader({ kid: 'k2' }));
  refuses(/key does not fit algorithm ES384/, withHeader({ alg: 'ES384' }));
  refuses(/key does not fit algorithm ES256/, withHeader({ kid: 'r' }));
  const input = `${base64url({ alg: 'HS256', kid: 'k1' })}.${base64url(goodClaims)}`;
  const mac = createHmac('sha256', exportSpki(p256)).update(input).digest('base64url');
  refuses(/algorithm "HS256" is not allowed/, `${input}.${mac}`);
});

test('JS-04: an RSA key of less than 2048 bits verifies nothing', () => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 1024 });
  const input = `${base64url({ alg: 'RS256', kid: 's' })}.${base64url(goodClaims)}`;
  const made = `${input}.${sign('sha256', Buffer.from(input), privateKey).toString('base64url')}`;
  refuses(/key does not fit algorithm RS256/, made, {
    bundles: bundleOf(domain, authority('s', privateKey)),
  });
});

test('JS-05, D-5: a token without key ID is refused unless the validator asks to try every key', () => {
  const made = withHeader({ kid: undefined });
  refuses(/has no key ID/, made);
  assert.equal(accepts(made, { allowMissingKeyId: true }).id, sub);
  refuses(/signature is not good/, `${made.slice(0, -4)}AAAA`, { allowMissingKeyId: true });
  for (const kid of ['', 1, null, ['k1']]) refuses(/key ID is no string/, withHeader({ kid }));
});

test('JS-06, WS-04: the type is absent, JWT or JOSE; a WIT is no JWT-SVID', () => {
  for (const typ of [undefined, 'JWT', 'JOSE']) assert.ok(accepts(withHeader({ typ })));
  for (const typ of ['jwt', 'at+jwt', 'wit+jwt', '', 1, null])
    refuses(/type .* is not JWT/, withHeader({ typ }));
});

test('JS-07: the subject is a SPIFFE ID; every bad ID is refused', () => {
  for (const bad of [undefined, null, 1, [sub], {}]) refuses(/has no subject/, withClaims({ sub: bad }));
  for (const bad of badSpiffeIds) refuses(/^the token's subject is not valid/, withClaims({ sub: bad }));
});

test('JS-08, D-13: there is an audience, as a string or a list', () => {
  for (const aud of [undefined, [], null, {}, 1]) refuses(/has no audience/, withClaims({ aud }));
  for (const aud of ['', [''], [1], ['b', 1], [['b']]])
    refuses(/audience has something else/, withClaims({ aud }));
  for (const aud of ['b', ['b']]) assert.deepEqual(accepts(withClaims({ aud })).audience, ['b']);
});
