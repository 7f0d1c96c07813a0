import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TouchmarkError } from '../../src/errors.js';
import { emptyBundle } from '../../src/spiffe/bundle.js';
import { readBundleDocument, writeBundleDocument } from '../../src/spiffe/bundle-document.js';
import { parseTrustDomain } from '../../src/spiffe/id.js';
import { verifyX509Svid } from '../../src/spiffe/x509-svid.js';
import { exportSpki } from '../../src/x509/spki.js';
import { ecKey, factoryNow, makeIntermediate, makeLeaf, makeRoot } from '../support/der-factory.js';
import { accepts, good } from '../support/jwt-factory.js';

const domain = parseTrustDomain('example.org');

/** The same numbers in every run (mulberry32), so that a failure can be repeated. */
function seeded(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** Changes, removes, repeats or inserts a few bytes; never gives the input back. */
function mutate(input: Buffer, random: (below: number) => number): Buffer {
  let bytes = Buffer.from(input);
  for (let times = 1 + random(3); times > 0; times--) {
    const at = random(bytes.length);
    const kind = random(5);
    if (kind === 0) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1)]);
    else if (kind === 1)
      bytes = Buffer.concat([bytes.subarray(0, at), Buffer.of(random(256)), bytes.subarray(at)]);
    else if (kind === 2) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(random(bytes.length))]);
    else bytes[at] = (bytes[at] ?? 0) ^ (1 + random(255));
    if (bytes.length === 0) return Buffer.of(0);
  }
  return bytes.equals(input) ? Buffer.concat([input, Buffer.of(0)]) : bytes;
}

test('SV-04: of 4000 damaged chains none is accepted with another leaf, and none crashes', () => {
  const root = makeRoot();
  const middle = makeIntermediate(root);
  const leaf = makeLeaf(middle, { dnsNames: ['a.example'] });
  const chain = Buffer.concat([leaf.der, middle.der]);
  const bundle = { ...emptyBundle(domain), x509Authorities: [{ der: root.der, tainted: false }] };
  const random = seeded(1);
  assert.ok(verifyX509Svid(chain, bundle, factoryNow));
  for (let round = 0; round < 4000; round++) {
    const bad = mutate(chain, random);
    assert.throws(() => verifyX509Svid(bad, bundle, factoryNow), TouchmarkError, bad.toString('hex'));
  }
});

test('SV-04: of 4000 damaged tokens none is accepted, and none crashes', () => {
  const random = seeded(2);
  assert.ok(accepts(good));
  for (let round = 0; round < 4000; round++) {
    const bad = mutate(Buffer.from(good), random).toString('latin1');
    assert.throws(() => accepts(bad), TouchmarkError, bad);
  }
});

test('of 3000 damaged bundle documents each is read or refused, and what is read can be used and written', () => {
  const jwtAuthorities = [{ keyId: 'k', spki: exportSpki(ecKey()), expiresAt: 0, tainted: false }];
  const x509Authorities = [{ der: makeRoot().der, tainted: false }];
  const document = writeBundleDocument({
    ...emptyBundle(domain),
    jwtAuthorities,
    x509Authorities,
    sequence: 7n,
  });
  const random = seeded(3);
  let [read, refused] = [0, 0];
  for (let round = 0; round < 3000; round++) {
    try {
      const bundle = readBundleDocument(domain, mutate(Buffer.from(document), random));
      assert.deepEqual(
        readBundleDocument(domain, writeBundleDocument(bundle)).jwtAuthorities,
        bundle.jwtAuthorities,
      );
      read += 1;
    } catch (error) {
      assert.ok(error instanceof TouchmarkError, String(error));
      assert.ok(
        error.code === 'bundle_invalid' || error.code === 'key_unsupported',
        `${error.code}: ${error.message}`,
      );
      refused += 1;
    }
  }
  assert.ok(read > 0 && refused > 1000, `${read} read, ${refused} refused`);
});
