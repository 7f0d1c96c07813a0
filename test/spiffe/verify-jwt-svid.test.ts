import assert from 'node:assert/strict';
import { constants, createHash, createPublicKey, type KeyObject, sign } from 'node:crypto';
import { test } from 'node:test';
import { decodeJwt, jwtVerify } from 'jose';
import { emptyBundle } from '../../src/spiffe/bundle.js';
import { readBundleDocument, writeBundleDocument } from '../../src/spiffe/bundle-document.js';
import { parseSpiffeId, parseTrustDomain, type TrustDomain } from '../../src/spiffe/id.js';
import { algorithmOf, type JwsAlgorithm } from '../../src/spiffe/jws.js';
import { jwtLeewaySeconds, parseJwtSvid, signJwtSvid } from '../../src/spiffe/jwt-svid.js';
import { exportSpki } from '../../src/x509/spki.js';
import { ecKey } from '../support/der-factory.js';
import {
  accepts,
  authority,
  base64url,
  bundleOf,
  domain,
  good,
  goodClaims,
  goodHeader,
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
import { throwsCode } from '../support/rejects.js';

test('JS-09, WJ-11: the own audience is an element, compared exactly', () => {
  assert.ok(accepts(good, { audience: 'a' }));
  for (const audience of ['B', 'a b', '', 'c', 'ab']) refuses(/is not for audience "/, good, { audience });
});

test('JS-10, D-14: every audience asked for is in the one token', () => {
  const made = signJwtSvid({ ...goodClaims, aud: ['x', 'y', 'b'] }, { key: p256, keyId: 'k1', alg: 'ES256' });
  assert.deepEqual(decodeJwt(made).aud, ['x', 'y', 'b']);
});

test('JS-11, JS-12: exp is there, is a time, and is judged with the leeway', () => {
  refuses(/has no exp/, withClaims({ exp: undefined }));
  for (const exp of [String(now + 9), null, [], true]) refuses(/exp is not a time/, withClaims({ exp }));
  const raw = (exp: string) => token(goodHeader, `{"sub":"${sub}","aud":"b","exp":${exp}}`);
  refuses(/payload is not valid: the JSON has a number that is too large/, raw('1e400'));
  refuses(/payload is not valid/, raw('NaN'));
  refuses(/exp is not a time/, raw('99999999999999999999'));
  refuses(new RegExp(`expired at ${now - 61}`), withClaims({ exp: now - jwtLeewaySeconds - 1 }));
  refuses(/expired/, withClaims({ exp: now - jwtLeewaySeconds }));
  assert.ok(accepts(withClaims({ exp: now - jwtLeewaySeconds + 1 })));
  assert.ok(accepts(withClaims({ exp: now + 1 })));
  assert.ok(accepts(withClaims({ exp: now + 0.5 })));
  assert.equal(jwtLeewaySeconds, 60);
});

test('JS-13, DF-09: times are written as integers and iat is there', () => {
  const made = signJwtSvid(goodClaims, { key: p256, keyId: 'k1', alg: 'ES256' });
  const payload = Buffer.from(made.split('.')[1] ?? '', 'base64url').toString();
  assert.match(payload, new RegExp(`"exp":${now + 300},"iat":${now}\\b`));
  for (const [change, message] of [
    [{ exp: now + 0.5 }, /whole seconds/],
    [{ iat: Number.NaN }, /whole seconds/],
    [{ exp: now }, /would expire/],
    [{ aud: [] }, /at least one audience/],
    [{ aud: ['a', ''] }, /at least one audience/],
  ] as const) {
    const sign = () => signJwtSvid({ ...goodClaims, ...change }, { key: p256, keyId: 'k1', alg: 'ES256' });
    throwsCode('jwt_svid_invalid', message, sign);
  }
});

test('JS-14: nbf is honoured with the leeway', () => {
  refuses(new RegExp(`not valid before ${now + 120}`), withClaims({ nbf: now + 120 }));
  assert.ok(accepts(withClaims({ nbf: now + 30 })));
  refuses(/nbf is not a time/, withClaims({ nbf: 'x' }));
});

test('JS-15: other claims are kept, exactly', () => {
  const made = token(
    goodHeader,
    `${JSON.stringify(goodClaims).slice(0, -1)},"role":{"x":[1]},"big":9007199254740993}`,
  );
  const { claims } = accepts(made);
  assert.equal(JSON.stringify(claims['role']), '{"x":[1]}');
  assert.equal(claims['big'], 9007199254740993n);
});

test('section 15: a repeated name in header or claims is refused', () => {
  const twice = `{"sub":"${sub}","aud":"b","exp":${now + 9},"aud":"c"}`;
  refuses(/payload is not valid: the JSON has the name "aud" twice/, token(goodHeader, twice));
  refuses(
    /header is not valid: the JSON has the name "alg" twice/,
    token('{"alg":"none","alg":"ES256"}', goodClaims),
  );
  refuses(/payload is not valid/, token(goodHeader, '[]'));
  refuses(/payload is not valid/, token(goodHeader, '\ufeff{}'));
});

test('JS-16, SV-04: changed payloads and signatures are refused', () => {
  const [header = '', payload = '', signature = ''] = good.split('.');
  const other = base64url({ ...goodClaims, sub: `${sub}2` });
  refuses(/signature is not good/, `${header}.${other}.${signature}`);
  const bytes = Buffer.from(signature, 'base64url');
  for (let at = 0; at < bytes.length; at++) {
    const bad = Buffer.from(bytes);
    bad[at] = (bad[at] ?? 0) ^ 1;
    refuses(/signature is not good/, `${header}.${payload}.${bad.toString('base64url')}`);
  }
  const der = sign('sha256', Buffer.from(`${header}.${payload}`), p256);
  refuses(/signature is not good/, `${header}.${payload}.${der.toString('base64url')}`);
  for (const length of [1, 63, 65, 128]) {
    const wrong = Buffer.concat([bytes, bytes]).subarray(0, length).toString('base64url');
    refuses(/signature is not good/, `${header}.${payload}.${wrong}`);
  }
  refuses(/signature is not good/, `${header}.${payload}.${Buffer.alloc(64).toString('base64url')}`);
});

test('JS-16: PSS with a salt of another length than the hash is refused', () => {
  const input = `${base64url({ alg: 'PS256', kid: 'r' })}.${base64url(goodClaims)}`;
  const pss = (saltLength: number) =>
    sign('sha256', Buffer.from(input), { key: rsa, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength });
  assert.ok(accepts(`${input}.${pss(32).toString('base64url')}`));
  for (const salt of [0, 20, 64])
    refuses(/signature is not good/, `${input}.${pss(salt).toString('base64url')}`);
});

test('JS-16: a key with which anybody can sign, or checking takes long, verifies nothing', () => {
  const modulus = Buffer.alloc(256, 0xff);
  const spkiOf = (e: Buffer) =>
    createPublicKey({
      key: { kty: 'RSA', n: modulus.toString('base64url'), e: e.toString('base64url') },
      format: 'jwk',
    }).export({ format: 'der', type: 'spki' });
  const input = `${base64url({ alg: 'RS256', kid: 'one' })}.${base64url(goodClaims)}`;
  const digest = createHash('sha256').update(input).digest();
  const info = Buffer.concat([Buffer.from('3031300d060960864801650304020105000420', 'hex'), digest]);
  // With an exponent of 1 the padded digest is its own signature.
  const forged = Buffer.concat([
    Buffer.of(0, 1),
    Buffer.alloc(256 - 3 - info.length, 0xff),
    Buffer.of(0),
    info,
  ]);
  for (const e of [Buffer.of(1), Buffer.alloc(255, 0x7f)]) {
    const bundles = bundleOf(domain, { keyId: 'one', spki: spkiOf(e), expiresAt: 0, tainted: false });
    refuses(/key does not fit algorithm RS256/, `${input}.${forged.toString('base64url')}`, { bundles });
  }
});

test('JS-18, JS-19, JS-20: only jwt-svid keys of the document verify tokens', () => {
  const document = JSON.parse(writeBundleDocument(bundleOf(domain, authority('k1', p256))));
  const read = (keys: unknown) => readBundleDocument(domain, JSON.stringify({ keys }));
  assert.ok(accepts(good, { bundles: read(document.keys) }));
  for (const use of ['x509-svid', 'wit-svid', 'sig', 'JWT-SVID', undefined]) {
    refuses(/bundle has no key "k1"/, good, { bundles: read([{ ...document.keys[0], use }]) });
  }
  refuses(/bundle has no key/, good, { bundles: emptyBundle(domain) });
});

test('JS-21, WJ-13, WA-13: only the bundle of the domain of the subject is used', () => {
  const [a, b] = [parseTrustDomain('a'), parseTrustDomain('b')];
  const [keyA, keyB] = [ecKey(), ecKey()];
  const both = new Map([
    [a, bundleOf(a, authority('same', keyA))],
    [b, bundleOf(b, authority('same', keyB))],
  ]);
  const bundles = (name: TrustDomain) => both.get(name);
  const made = (key: KeyObject, name: string) =>
    token({ alg: 'ES256', kid: 'same' }, { ...goodClaims, sub: `spiffe://${name}/x` }, key);
  assert.equal(accepts(made(keyA, 'a'), { bundles }).id, 'spiffe://a/x');
  assert.equal(accepts(made(keyB, 'b'), { bundles }).id, 'spiffe://b/x');
  refuses(/signature is not good/, made(keyB, 'a'), { bundles });
  throwsCode('bundle_missing', /trust domain "c"/, () => accepts(made(keyA, 'c'), { bundles }));
});

test('JS-22: the same token is accepted twice', () => {
  assert.equal(accepts(good).id, accepts(good).id);
});

test('JS-24: a key that left the bundle stops validating', () => {
  refuses(/bundle has no key "k1"/, good, { bundles: bundleOf(domain, authority('k2', p256)) });
  refuses(/bundle has no key "K1"/, withHeader({ kid: 'K1' }));
});

test('D-19: the issuer never signs a subject without a path, the validator accepts one only when asked', () => {
  const rootSubject = withClaims({ sub: 'spiffe://example.org' });
  refuses(/subject spiffe:\/\/example.org has no path/, rootSubject);
  assert.equal(accepts(rootSubject, { allowRootSubject: true }).id, 'spiffe://example.org');
  const sign = () =>
    signJwtSvid(
      { ...goodClaims, sub: parseSpiffeId('spiffe://example.org') },
      { key: p256, keyId: 'k1', alg: 'ES256' },
    );
  throwsCode('jwt_svid_invalid', /has no path/, sign);
});

test('what we sign verifies in jose and in our own validator, with each kind of key', async () => {
  for (const [keyId, key] of [
    ['k1', p256],
    ['k2', p384],
    ['r', rsa],
  ] as const) {
    const alg: JwsAlgorithm = algorithmOf(key);
    const made = signJwtSvid({ ...goodClaims, iss: 'https://issuer.example', jti: 'j' }, { key, keyId, alg });
    const spki = exportSpki(key);
    const checked = await jwtVerify(made, createPublicKey({ key: spki, format: 'der', type: 'spki' }), {
      currentDate: new Date(now * 1000),
      audience: 'b',
    });
    assert.equal(checked.payload.sub, sub);
    assert.equal(accepts(made).claims['jti'], 'j');
    assert.equal(parseJwtSvid(made).keyId, keyId);
  }
  throwsCode('key_unsupported', /not RSA, P-256 or P-384/, () => algorithmOf(p521));
});
