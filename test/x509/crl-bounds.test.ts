import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { crlReason, signCrl } from '../../src/x509/crl.js';
import { boundCrls, MOST_CRL_BYTES } from '../../src/x509/crl-bounds.js';

const crl = (bytes: number) => ({ der: new Uint8Array(bytes) });

test('lists that fit all travel, and of more the largest stay behind, never all of them', () => {
  const [small, large, middle] = [crl(100), crl(5000), crl(1000)];
  assert.deepEqual(boundCrls([small, large, middle], 7000), { kept: [small, large, middle], leftOut: [] });
  assert.deepEqual(boundCrls([small, large, middle], 2000), { kept: [small, middle], leftOut: [large] });
  assert.deepEqual(boundCrls([small, large, middle], 200), { kept: [small], leftOut: [large, middle] });
  assert.deepEqual(boundCrls([]), { kept: [], leftOut: [] });
});

test('as many serial numbers as a deny feed lists travel', () => {
  const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const entries = Array.from({ length: 50_000 }, (_, at) => ({
    serial: createHash('sha256').update(String(at)).digest().subarray(0, 16),
    revokedAt: 1_790_000_000,
    reason: crlReason.privilegeWithdrawn,
  }));
  const signer = { key, subjectDer: Buffer.from('3000', 'hex'), skid: new Uint8Array(20) };
  const times = { number: 1n, thisUpdate: 1_790_000_000, nextUpdate: 1_790_086_400 };
  const der = signCrl({ ...times, entries }, signer);
  assert.ok(der.length > MOST_CRL_BYTES * 0.9);
  assert.equal(boundCrls([{ der }, crl(1000), crl(1000)]).leftOut.length, 0);
});
