import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { operatorAnchors } from '../../src/tpm/anchors.js';
import { readTpmCertificate } from '../../src/tpm/certificate.js';
import { buildEkChain } from '../../src/tpm/ek-chain.js';
import { verifyEkCertificate } from '../../src/tpm/ek-trust.js';
import type { PlainKey } from '../../src/tpm/spki.js';
import { isWeakRsa } from '../../src/tpm/weak-rsa.js';
import { createEkAuthority } from '../fakes/ek-authority.js';
import { createSoftwareTpm } from '../fakes/software-tpm.js';
import { throwsCode } from '../support/rejects.js';

const NOW = Date.UTC(2026, 5, 1);

function firstPrimes(count: number): bigint[] {
  const found: bigint[] = [];
  for (let n = 2n; found.length < count; n += 1n) if (found.every((prime) => n % prime !== 0n)) found.push(n);
  return found;
}

/** Made as the faulty library makes both factors: k * M + (65537^a mod M), M being the product of the first primes. */
function weakKey(bits: number, primeCount: number, a: bigint): PlainKey {
  const product = firstPrimes(primeCount).reduce((all, prime) => all * prime, 1n);
  let residue = 1n;
  for (let n = 0n; n < a; n += 1n) residue = (residue * 65537n) % product;
  const top = 3n << BigInt(bits - 2);
  const number = top - (top % product) + product + residue;
  return { type: 'rsa', modulus: Buffer.from(number.toString(16), 'hex'), exponent: 65537 };
}

const weak2048 = weakKey(2048, 126, 12_345n);

test('keys of the faulty library are found, whatever their size', () => {
  assert.equal(isWeakRsa(weak2048), true);
  assert.equal(isWeakRsa(weakKey(3072, 126, 1n)), true);
  assert.equal(isWeakRsa(weakKey(1024, 71, 77n)), true);
});

test('other keys are not taken for such ones', () => {
  for (let times = 0; times < 2000; times += 1) {
    const modulus = randomBytes(256);
    modulus[255] = (modulus[255] ?? 0) | 1;
    assert.equal(isWeakRsa({ type: 'rsa', modulus, exponent: 65537 }), false);
  }
  assert.equal(isWeakRsa({ type: 'rsa', modulus: new Uint8Array(), exponent: 65537 }), false);
  const ec = createSoftwareTpm().ek('p256-l2').public;
  assert.ok(ec.type === 'ecc');
  assert.equal(isWeakRsa({ type: 'ecc', curve: ec.curve, x: ec.x, y: ec.y }), false);
});

test('an endorsement certificate over such a key is refused, although its vendor signed it', () => {
  const root = createEkAuthority('Root');
  const anchors = operatorAnchors({ anchors: root.pem, name: 'ours', assurance: 'hardware' });
  const input = { supplied: [], anchors, now: NOW, expired: 'reject' } as const;
  throwsCode('ek_key_weak', /can be computed from their public half \(CVE-2017-15361\)$/, () =>
    verifyEkCertificate({ ...input, certificate: root.issue(weak2048) }),
  );
});

test('an authority with such a key vouches for nothing', () => {
  const root = createEkAuthority('Root');
  const anchors = operatorAnchors({ anchors: root.pem, name: 'ours', assurance: 'hardware' });
  const [anchor] = anchors.anchors;
  assert.ok(anchor);
  const leaf = readTpmCertificate(root.issue(weak2048));
  const broken = { ...anchor, certificate: { ...anchor.certificate, key: weak2048 } };
  throwsCode('ek_chain_untrusted', /"CN=Root" has a key that can be computed/, () =>
    buildEkChain(leaf, [], { ...anchors, anchorsFor: () => [broken] }),
  );
});
