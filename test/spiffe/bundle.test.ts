import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { test } from 'node:test';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { type Bundle, emptyBundle, refreshInterval } from '../../src/spiffe/bundle.js';
import {
  bundleFromDer,
  bundleFromPem,
  bundleToDer,
  bundleToPem,
} from '../../src/spiffe/bundle-certificates.js';
import {
  readBundleDocument,
  readJwtKeySet,
  writeBundleDocument,
  writeJwtKeySet,
} from '../../src/spiffe/bundle-document.js';
import { readBundleMap } from '../../src/spiffe/bundle-map.js';
import { makeSpiffeId, parseTrustDomain } from '../../src/spiffe/id.js';
import { signJwtSvid } from '../../src/spiffe/jwt-svid.js';
import { verifyX509Svid } from '../../src/spiffe/x509-svid.js';
import { exportSpki } from '../../src/x509/spki.js';
import { ecKey, makeLeaf, makeRoot, factoryNow as now } from '../support/der-factory.js';
import { throwsCode } from '../support/rejects.js';

const domain = parseTrustDomain('example.org');
const rsaKey = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
const [p256, p384, p521] = [ecKey(), ecKey('P-384'), ecKey('P-521')];
const root = makeRoot();
const rsaRoot = makeRoot({ key: rsaKey });
const jwt = (keyId: string, key: KeyObject) => ({
  keyId,
  spki: exportSpki(key),
  expiresAt: 0,
  tainted: false,
});
const bundle: Bundle = {
  trustDomain: domain,
  x509Authorities: [root, rsaRoot].map(({ der }) => ({ der, tainted: false })),
  jwtAuthorities: [jwt('a', p256), jwt('b', p384), jwt('c', p521), jwt('d', rsaKey)],
  refreshHint: 120,
  sequence: 18446744073709551615n,
};
const written = JSON.parse(writeBundleDocument(bundle));
const read = (document: unknown) => readBundleDocument(domain, JSON.stringify(document));
const refuses = (message: RegExp, document: string) =>
  throwsCode('bundle_invalid', message, () => readBundleDocument(domain, document), document.slice(0, 80));
const x509Jwk = written.keys[0];
const jwtJwk = written.keys[2];

test('TB-01, TB-02: a written bundle is read back whole, under the name that the reader gives', () => {
  const back = readBundleDocument(domain, Buffer.from(writeBundleDocument(bundle)));
  assert.deepEqual(back, { ...bundle, x509Authorities: back.x509Authorities });
  assert.deepEqual(
    back.x509Authorities.map(({ der }) => der),
    [root.der, rsaRoot.der],
  );
  refuses(/the JSON is not an object/, '[]');
  refuses(/the JSON is not an object/, '"keys"');
  assert.equal(readBundleDocument(parseTrustDomain('other'), '{"keys":[]}').trustDomain, 'other');
});

test('TB-03: further members are passed over', () => {
  assert.deepEqual(read({ keys: [] }), emptyBundle(domain));
  assert.deepEqual(read({ keys: [], x: 1 }), emptyBundle(domain));
});

test('TB-04, TB-05, TB-06, section 15: the sequence keeps 64 bits both ways', () => {
  assert.match(writeBundleDocument(bundle), /"spiffe_sequence":18446744073709551615,/);
  for (const sequence of ['0', '9007199254740993', '18446744073709551615']) {
    assert.equal(
      readBundleDocument(domain, `{"keys":[],"spiffe_sequence":${sequence}}`).sequence,
      BigInt(sequence),
    );
  }
});

test('TB-07: a sequence that is no plain non-negative integer of 64 bits is refused', () => {
  for (const bad of ['1.5', '1.0', '1e3', '"1"', '-1', 'null', '18446744073709551616']) {
    refuses(/"spiffe_sequence" that is not a non-negative integer/, `{"keys":[],"spiffe_sequence":${bad}}`);
  }
});

test('TB-08, TB-09, TB-19: the refresh hint is whole seconds; without one it is 300, and never under the floor', () => {
  assert.match(writeBundleDocument(bundle), /"spiffe_refresh_hint":120\}$/);
  assert.match(writeBundleDocument(emptyBundle(domain)), /"spiffe_refresh_hint":300\}$/);
  for (const hint of ['0', '-5']) {
    assert.equal(readBundleDocument(domain, `{"keys":[],"spiffe_refresh_hint":${hint}}`).refreshHint, 0);
  }
  for (const bad of ['1.5', '"60"', 'null', '99999999999']) {
    refuses(/"spiffe_refresh_hint" that is not a whole number/, `{"keys":[],"spiffe_refresh_hint":${bad}}`);
  }
  assert.equal(refreshInterval(emptyBundle(domain)), 300);
  assert.equal(refreshInterval({ ...bundle, refreshHint: 120 }), 120);
  assert.equal(refreshInterval({ ...bundle, refreshHint: 1 }), 10);
});

test('TB-10: keys is a list', () => {
  for (const document of ['{}', '{"keys":null}', '{"keys":{}}']) refuses(/has no list "keys"/, document);
  refuses(/key that is not an object/, '{"keys":[1]}');
  refuses(/more than 1024 keys/, JSON.stringify({ keys: Array.from({ length: 1025 }, () => ({})) }));
});

test('TB-11, TB-12, D-8, D-16: what is unknown is passed over, the rest is kept', () => {
  const { use: _use, ...noUse } = jwtJwk;
  const { kty: _kty, ...noKty } = jwtJwk;
  const back = read({
    keys: [
      { kty: 'AKP', alg: 'ML-DSA-44', use: 'jwt-svid', kid: 'x' },
      { kty: 'OKP', crv: 'X25519', x: 'AA', use: 'jwt-svid', kid: 'y' },
      { kty: 'EC', crv: 'secp256k1', x: 'AA', y: 'AA', use: 'jwt-svid', kid: 'z' },
      { ...jwtJwk, use: 'sig' },
      { ...jwtJwk, use: 'JWT-SVID' },
      { ...jwtJwk, use: 'wit-svid' },
      { ...x509Jwk, use: 'X509-SVID' },
      noUse,
      noKty,
      jwtJwk,
    ],
  });
  assert.deepEqual(
    back.jwtAuthorities.map(({ keyId }) => keyId),
    ['a'],
  );
  assert.deepEqual(back.x509Authorities, []);
});

test('TB-13, TB-14: an empty bundle and one of unknown keys verify nothing', () => {
  const leaf = makeLeaf(root);
  for (const keys of [[], [{ kty: 'AKP', use: 'x509-svid' }]]) {
    throwsCode('chain_untrusted', /no authority/, () => verifyX509Svid([leaf.der], read({ keys }), now));
  }
});

test('TB-15, TB-16, JS-18, XS-26, XS-27, XS-28, WS-28: written keys have their members and no others', () => {
  const members = written.keys.map((jwk: object) => Object.keys(jwk).sort().join());
  const [ec, rsa] = ['crv,kty,use,x,x5c,y', 'e,kty,n,use,x5c'];
  const [jwtEc, jwtRsa] = ['crv,kid,kty,use,x,y', 'e,kid,kty,n,use'];
  assert.deepEqual(members, [ec, rsa, jwtEc, jwtEc, jwtEc, jwtRsa]);
  assert.deepEqual(x509Jwk.x5c, [root.der.toString('base64')]);
  assert.equal(x509Jwk.use, 'x509-svid');
});

test('TB-17: each key ID is written once, and none belongs to a WIT key, for none is published', () => {
  const ids = written.keys.flatMap(({ kid }: { kid?: string }) => kid ?? []);
  assert.equal(ids.length, 4);
  assert.equal(new Set(ids).size, ids.length);
  assert.ok(written.keys.every(({ use }: { use: string }) => use === 'x509-svid' || use === 'jwt-svid'));
});

test('TB-20, XS-30, section 15: coordinates have full width, and integers no leading zeros', () => {
  const widths = written.keys.slice(2, 5).map(({ x, y }: { x: string; y: string }) => [x.length, y.length]);
  assert.deepEqual(widths, [
    [43, 43],
    [64, 64],
    [88, 88],
  ]);
  assert.equal(written.keys[1].e, 'AQAB');
  assert.equal(written.keys[1].n.length, 342);
  const short = { ...jwtJwk, x: jwtJwk.x.slice(4) };
  refuses(/no x coordinate of 32 bytes/, JSON.stringify({ keys: [short] }));
  const rsaJwk = { ...written.keys[5], e: 'AAEAAQ' };
  refuses(/no well-formed member "e"/, JSON.stringify({ keys: [rsaJwk] }));
  refuses(/no y coordinate/, JSON.stringify({ keys: [{ ...jwtJwk, y: undefined }] }));
});

test('a point off its curve and a private key are refused', () => {
  refuses(/was not accepted/, JSON.stringify({ keys: [{ ...jwtJwk, y: jwtJwk.x }] }));
  refuses(/private member "d"/, JSON.stringify({ keys: [{ ...jwtJwk, d: 'AA' }] }));
});

test('XS-27, XS-31, XS-32: kid beside x5c is accepted, no x5c is passed over, only the first one counts', () => {
  const keys = [
    { ...x509Jwk, kid: 'foreign', x5c: [x509Jwk.x5c[0], rsaRoot.der.toString('base64')] },
    { ...x509Jwk, x5c: undefined },
    { ...x509Jwk, x5c: [] },
  ];
  assert.deepEqual(
    read({ keys }).x509Authorities.map(({ der }) => der),
    [root.der],
  );
});

test('XS-28, XS-30: a certificate in another encoding, a broken one, and one of another key are refused', () => {
  const withX5c = (x5c: unknown) => JSON.stringify({ keys: [{ ...x509Jwk, x5c }] });
  for (const bad of ['x', [1], [root.der.toString('base64url')], ['-----BEGIN CERTIFICATE-----']]) {
    refuses(/"x5c" that is not a list of padded base64/, withX5c(bad));
  }
  refuses(/has a bad certificate: the DER/, withX5c(['AAAA']));
  refuses(/certificate of another key than its JWK/, withX5c([makeRoot().der.toString('base64')]));
  const { x: _x, y: _y, ...bare } = x509Jwk;
  assert.equal(read({ keys: [bare] }).x509Authorities.length, 1);
});

test('JS-18: JWT keys have distinct key IDs', () => {
  refuses(/JWT key without "kid"/, JSON.stringify({ keys: [{ ...jwtJwk, kid: undefined }] }));
  refuses(/JWT key without "kid"/, JSON.stringify({ keys: [{ ...jwtJwk, kid: '' }] }));
  refuses(/has the key ID "a" twice/, JSON.stringify({ keys: [jwtJwk, jwtJwk] }));
});

test('FW-06: a byte order mark and a repeated name are refused', () => {
  refuses(/the bundle cannot be read/, '\ufeff{"keys":[]}');
  refuses(/has the name "keys" twice/, '{"keys":[],"keys":[]}');
});

test('WJ-08, D-7: the key set of the Workload API has neither use nor anything of SPIFFE', async () => {
  const set = JSON.parse(writeJwtKeySet(bundle));
  assert.deepEqual(Object.keys(set), ['keys']);
  assert.deepEqual(Object.keys(set.keys[0]).sort(), ['crv', 'kid', 'kty', 'x', 'y']);
  assert.equal(set.keys.length, 4);
  assert.deepEqual(readJwtKeySet(domain, JSON.stringify(set)).jwtAuthorities, bundle.jwtAuthorities);
  const withUse = {
    keys: [
      { ...set.keys[0], use: 'jwt-svid' },
      { ...set.keys[1], use: 'x509-svid' },
    ],
  };
  assert.equal(readJwtKeySet(domain, JSON.stringify(withUse)).jwtAuthorities.length, 1);
  const sub = makeSpiffeId(domain, '/web');
  const token = signJwtSvid(
    { sub, aud: ['x'], iat: now, exp: now + 60 },
    { key: p384, keyId: 'b', alg: 'ES384' },
  );
  const verified = await jwtVerify(token, createLocalJWKSet(set), { currentDate: new Date(now * 1000) });
  assert.equal(verified.payload.sub, sub);
});

test('WX-04, WX-06: authorities are concatenated DER with nothing left over, and PEM', () => {
  const der = bundleToDer(bundle);
  assert.equal(der.length, root.der.length + rsaRoot.der.length);
  for (const back of [bundleFromDer(domain, der), bundleFromPem(domain, bundleToPem(bundle))]) {
    assert.deepEqual(
      back.x509Authorities.map((authority) => Buffer.from(authority.der)),
      [root.der, rsaRoot.der],
    );
  }
  const tail = Buffer.concat([der, Buffer.from([0])]);
  throwsCode('bundle_invalid', /cannot be read: the DER/, () => bundleFromDer(domain, tail));
  throwsCode('bundle_invalid', /cannot be read: the PEM/, () => bundleFromPem(domain, 'x'));
});

test('BM-01: a bundle map is an object with trust_domains', () => {
  for (const bad of ['{}', '{"trust_domains":[]}', '{"trust_domains":null}']) {
    throwsCode('bundle_invalid', /has no "trust_domains"/, () => readBundleMap(bad));
  }
  throwsCode('bundle_invalid', /not an object/, () => readBundleMap('[]'));
  assert.equal(readBundleMap('{"trust_domains":{}}').size, 0);
});

test('BM-02: its names are trust domains without a scheme', () => {
  for (const bad of ['spiffe://example.org', 'Example.org', '']) {
    const map = JSON.stringify({ trust_domains: { [bad]: written } });
    throwsCode('bundle_invalid', /has a bad name: trust domain "/, () => readBundleMap(map));
  }
  const map = readBundleMap(
    JSON.stringify({ trust_domains: { 'example.org': JSON.parse(writeJwtKeySet(bundle)) } }),
  );
  assert.deepEqual([...map.keys()], ['example.org']);
});

test('BM-04: a name that comes twice refuses the map', () => {
  const twice = '{"trust_domains":{"a":{"keys":[]},"a":{"keys":[]}}}';
  throwsCode('bundle_invalid', /has the name "a" twice/, () => readBundleMap(twice));
});

test('BM-05, BM-06, D-9: hints inside a map are dropped, whatever they hold', () => {
  const inner = '{"keys":[],"spiffe_refresh_hint":1,"refresh_hint":1,"spiffe_sequence":18446744073709551615}';
  const [entry] = readBundleMap(`{"trust_domains":{"a":${inner}}}`).values();
  assert.deepEqual([entry?.refreshHint, entry?.sequence], [0, 18446744073709551615n]);
});

test('BM-07: one bad bundle refuses the whole map', () => {
  const map = '{"trust_domains":{"a":{"keys":[]},"b":{"keys":null}}}';
  throwsCode('bundle_invalid', /has no list "keys"/, () => readBundleMap(map));
  throwsCode('bundle_invalid', /bundle of b is not an object/, () =>
    readBundleMap('{"trust_domains":{"b":1}}'),
  );
});
