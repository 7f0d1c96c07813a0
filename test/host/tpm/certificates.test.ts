import assert from 'node:assert/strict';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { certificatesIn, isAbout } from '../../../src/host/tpm/certificates.js';
import { haveVectors, readVector } from '../../support/vectors.js';

/** A SEQUENCE of 260 bytes, as the outermost layer of any certificate looks. */
const fake = (fill: number) => Buffer.concat([Buffer.from([0x30, 0x82, 1, 0]), Buffer.alloc(256, fill)]);
const asBuffers = (list: Uint8Array[]) => list.map((one) => Buffer.from(one));

describe('certificates in NV', () => {
  test('stand alone, in a row, under the header of the TCG, and before padding', () => {
    const [one, two] = [fake(1), fake(2)];
    const header = Buffer.from([0x10, 0x01, 0x00, 0x01, 0x04]);
    assert.deepEqual(asBuffers(certificatesIn(one)), [one]);
    assert.deepEqual(asBuffers(certificatesIn(Buffer.concat([one, two]))), [one, two]);
    assert.deepEqual(asBuffers(certificatesIn(Buffer.concat([header, one]))), [one]);
    assert.deepEqual(asBuffers(certificatesIn(Buffer.concat([one, Buffer.alloc(99, 0xff)]))), [one]);
    assert.deepEqual(asBuffers(certificatesIn(Buffer.concat([one, Buffer.alloc(99)]))), [one]);
  });

  test('that are cut off, or nothing at all, are none', () => {
    assert.deepEqual(certificatesIn(fake(1).subarray(0, 200)), []);
    assert.deepEqual(certificatesIn(new Uint8Array()), []);
    assert.deepEqual(certificatesIn(Buffer.alloc(1000, 0xff)), []);
    assert.equal(certificatesIn(Buffer.concat(Array.from({ length: 40 }, () => fake(1)))).length, 16);
  });

  test('no content makes the search fail or give bytes that were not there', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), (content) => {
        const total = certificatesIn(content).reduce((sum, one) => sum + one.length, 0);
        assert.ok(total <= content.length);
      }),
    );
  });

  test('are about their own key only', (t) => {
    if (!haveVectors(t)) return;
    for (const name of ['generated/swtpm/ek-rsa-2048.der', 'generated/swtpm/ek-ecc-p384.der']) {
      const certificate = readVector(name);
      const own = new X509Certificate(certificate).publicKey.export({ format: 'der', type: 'spki' });
      assert.ok(isAbout(certificate, own));
      const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
      assert.ok(!isAbout(certificate, publicKey.export({ format: 'der', type: 'spki' })));
      assert.ok(!isAbout(certificate.subarray(0, 300), own));
      assert.ok(!isAbout(certificate, new Uint8Array()));
    }
  });
});
