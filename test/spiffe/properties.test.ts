import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Bundle, emptyBundle } from '../../src/spiffe/bundle.js';
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
import { checkEntry } from '../../src/spiffe/check-entry.js';
import { checkDnsName } from '../../src/spiffe/dns-name.js';
import { canonicalSelectors, entryUniqueKey, orderIdentities } from '../../src/spiffe/entry.js';
import { makeSpiffeId, parseTrustDomain } from '../../src/spiffe/id.js';
import { signJwtSvid } from '../../src/spiffe/jwt-svid.js';
import { verifyJwtSvid } from '../../src/spiffe/verify-jwt-svid.js';
import { verifyX509Svid } from '../../src/spiffe/x509-svid.js';
import { exportSpki } from '../../src/x509/spki.js';
import { ecKey, makeLeaf, makeRoot, factoryNow as now } from '../support/der-factory.js';
import { entryDomain, entryOf } from '../support/entries.js';

const domain = parseTrustDomain('example.org');
const roots = Array.from({ length: 4 }, (_, n) => makeRoot({ name: `root ${n}` }));
const jwtKeys = [ecKey(), ecKey('P-384'), ecKey('P-521')];

const bundles: fc.Arbitrary<Bundle> = fc.record({
  trustDomain: fc.constant(domain),
  x509Authorities: fc.subarray(roots).map((list) => list.map(({ der }) => ({ der, tainted: false }))),
  jwtAuthorities: fc
    .uniqueArray(fc.tuple(fc.string({ minLength: 1, unit: 'grapheme' }), fc.constantFrom(...jwtKeys)), {
      selector: ([keyId]) => keyId,
      maxLength: 4,
    })
    .map((list) =>
      list.map(([keyId, key]) => ({ keyId, spki: exportSpki(key), expiresAt: 0, tainted: false })),
    ),
  refreshHint: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
  sequence: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
});

test('TB-01, TB-06: every bundle survives its document', () => {
  fc.assert(
    fc.property(bundles, (bundle) => {
      const back = readBundleDocument(domain, writeBundleDocument(bundle));
      assert.deepEqual(back, { ...bundle });
    }),
    { numRuns: 60 },
  );
});

test('TB-15, JS-18: whatever is written is read by JSON.parse, too, with distinct key IDs', () => {
  fc.assert(
    fc.property(bundles, (bundle) => {
      const { keys } = JSON.parse(writeBundleDocument(bundle));
      const uses = keys.map(({ use }: { use: string }) => use);
      const expected = [
        ...bundle.x509Authorities.map(() => 'x509-svid'),
        ...bundle.jwtAuthorities.map(() => 'jwt-svid'),
      ];
      assert.deepEqual(uses, expected);
      const ids = keys.flatMap(({ kid }: { kid?: string }) => (kid === undefined ? [] : [kid]));
      assert.deepEqual(
        ids,
        bundle.jwtAuthorities.map(({ keyId }) => keyId),
      );
      assert.deepEqual(readJwtKeySet(domain, writeJwtKeySet(bundle)).jwtAuthorities, bundle.jwtAuthorities);
    }),
    { numRuns: 40 },
  );
});

test('WX-06: every set of authorities survives concatenation and PEM', () => {
  fc.assert(
    fc.property(bundles, (bundle) => {
      const plain = ({ x509Authorities }: Bundle) =>
        x509Authorities.map(({ der }) => Buffer.from(der).toString('hex'));
      assert.deepEqual(plain(bundleFromDer(domain, bundleToDer(bundle))), plain(bundle));
      if (bundle.x509Authorities.length === 0) return;
      assert.deepEqual(plain(bundleFromPem(domain, bundleToPem(bundle))), plain(bundle));
    }),
    { numRuns: 40 },
  );
});

test('BM-02, BM-07: a map gives each domain its own bundle', () => {
  const names = fc.uniqueArray(fc.stringMatching(/^[a-z0-9._-]{1,12}$/), { maxLength: 4 });
  fc.assert(
    fc.property(names, bundles, (list, bundle) => {
      const document = writeBundleDocument(bundle);
      const members = list.map((name) => `${JSON.stringify(name)}:${document}`);
      const map = readBundleMap(`{"trust_domains":{${members.join()}}}`);
      assert.deepEqual([...map.keys()].sort(), [...list].sort());
      for (const [name, one] of map) assert.deepEqual(one, { ...bundle, trustDomain: name, refreshHint: 0 });
    }),
    { numRuns: 30 },
  );
});

test('XS-34: exactly the leaves of authorities in the bundle are accepted, tainted ones until they are taken out', () => {
  const leaves = roots.map((root) => makeLeaf(root));
  fc.assert(
    fc.property(fc.subarray([0, 1, 2, 3]), fc.boolean(), (held, tainted) => {
      const x509Authorities = held.map((n) => ({ der: roots[n]?.der ?? Buffer.of(), tainted }));
      const bundle = { ...emptyBundle(domain), x509Authorities };
      for (const [n, leaf] of leaves.entries()) {
        const verify = () => verifyX509Svid([leaf.der], bundle, now);
        if (held.includes(n)) assert.equal(verify().id, 'spiffe://example.org/web');
        else assert.throws(verify, { code: 'chain_untrusted' });
      }
    }),
    { numRuns: 20 },
  );
});

const key = jwtKeys[0] ?? ecKey();
const tokenBundle: Bundle = {
  ...emptyBundle(domain),
  jwtAuthorities: [{ keyId: 'k', spki: exportSpki(key), expiresAt: 0, tainted: false }],
};

test('JS-08, JS-09, JS-11: a token that we sign is valid for its audiences and its time, and for no others', () => {
  const audiences = fc.uniqueArray(fc.string({ minLength: 1, unit: 'grapheme' }), {
    minLength: 1,
    maxLength: 4,
  });
  const cases = fc.record({
    aud: audiences,
    other: fc.string({ unit: 'grapheme' }),
    life: fc.integer({ min: 1, max: 1e6 }),
    at: fc.integer({ min: -1000, max: 2e6 }),
  });
  fc.assert(
    fc.property(cases, ({ aud, other, life, at }) => {
      const claims = { sub: makeSpiffeId(domain, '/x'), aud, iat: now, exp: now + life };
      const token = signJwtSvid(claims, { key, keyId: 'k', alg: 'ES256' });
      const verify = (audience: string, time: number) =>
        verifyJwtSvid(token, { audience, bundles: tokenBundle, now: time });
      for (const audience of aud) assert.deepEqual(verify(audience, now).audience, aud);
      const inTime = at < life + 60;
      if (inTime) assert.equal(verify(aud[0] ?? '', now + at).expiresAt, now + life);
      else assert.throws(() => verify(aud[0] ?? '', now + at), { code: 'jwt_svid_invalid' });
      if (!aud.includes(other)) assert.throws(() => verify(other, now), { code: 'jwt_svid_invalid' });
    }),
    { numRuns: 60 },
  );
});

test('a DNS name that is accepted is a host that TLS finds in the certificate', () => {
  const root = roots[0] ?? makeRoot();
  const names = fc.stringMatching(/^[A-Za-z0-9.-]{1,20}$/);
  fc.assert(
    fc.property(names, (name) => {
      try {
        checkDnsName(name);
      } catch (error) {
        assert.match(String(error), /is not a DNS name$/);
        return;
      }
      const { der } = makeLeaf(root, { key, dnsNames: [name] });
      assert.equal(new X509Certificate(der).checkHost(name), name);
    }),
    { numRuns: 80 },
  );
});

const writtenSelectors = fc.uniqueArray(fc.stringMatching(/^(unix|systemd|k8s):[a-z0-9:]{1,8}$/), {
  minLength: 1,
  maxLength: 6,
});

test('checking an entry twice changes nothing more, and its key does not depend on order', () => {
  fc.assert(
    fc.property(writtenSelectors, fc.nat(), (selectors, ttl) => {
      const entry = entryOf('e', selectors, { x509SvidTtl: ttl % 1000 });
      const once = checkEntry({ ...entry, selectors: [...entry.selectors].reverse() }, entryDomain);
      assert.deepEqual(checkEntry(once, entryDomain), once);
      assert.deepEqual(once.selectors, canonicalSelectors(entry.selectors));
      assert.equal(entryUniqueKey(once), entryUniqueKey(entry));
    }),
  );
});

test('WA-16, WX-09: the order of identities does not depend on the order of entries, and hints are distinct', () => {
  const parts = fc.tuple(fc.constantFrom('', 'a', 'b'), fc.nat(3));
  fc.assert(
    fc.property(fc.array(parts, { maxLength: 8 }), (list) => {
      const entries = list.map(([hint, createdAt], n) =>
        entryOf(`e${n}`, ['unix:uid:1'], { hint, createdAt }),
      );
      const ordered = orderIdentities(entries);
      assert.deepEqual(orderIdentities([...entries].reverse()), ordered);
      const hints = ordered.map(({ hint }) => hint).filter((hint) => hint !== '');
      assert.equal(new Set(hints).size, hints.length);
      assert.equal(
        ordered.filter(({ hint }) => hint === '').length,
        list.filter(([hint]) => hint === '').length,
      );
    }),
  );
});
