import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { TouchmarkError } from '../../src/errors.js';
import { buildCsr, readCsr } from '../../src/x509/csr.js';
import { bitString, sequence, tag, tlv, unsignedInteger } from '../../src/x509/der.js';
import { emptyName } from '../../src/x509/name.js';
import { signDer, signingSchemeOf } from '../../src/x509/signature.js';
import { exportSpki, readSpki } from '../../src/x509/spki.js';
import { ecKey } from '../support/der-factory.js';
import { throwsCode } from '../support/rejects.js';

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
const uri = 'spiffe://example.org/web';

test('a request that we build is read back with its key and names', () => {
  for (const key of [ecKey(), ecKey('P-384'), rsa]) {
    const csr = readCsr(buildCsr({ key, uris: [uri], dnsNames: ['a.example', 'b.example'] }));
    assert.deepEqual(Buffer.from(csr.spki), exportSpki(key));
    assert.deepEqual(csr.publicKey.export({ format: 'der', type: 'spki' }), exportSpki(key));
    assert.deepEqual([csr.uris, csr.dnsNames], [[uri], ['a.example', 'b.example']]);
  }
  assert.deepEqual(readCsr(buildCsr({ key: rsa })).uris, []);
});

test('openssl reads and verifies a request that we build', () => {
  const input = buildCsr({ key: ecKey(), uris: [uri] });
  const run = spawnSync('openssl', ['req', '-inform', 'DER', '-noout', '-verify', '-text'], { input });
  assert.equal(run.status, 0, run.stderr.toString());
  assert.match(run.stdout.toString() + run.stderr.toString(), /verify OK/i);
  assert.match(run.stdout.toString(), /URI:spiffe:\/\/example.org\/web/);
});

test('we read a request that openssl makes, with a subject and other attributes', () => {
  const options = [
    '-subj',
    '/C=US/O=SPIRE/CN=x',
    '-addext',
    `subjectAltName=URI:${uri},DNS:a.example,IP:10.0.0.1`,
  ];
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', '/dev/null'];
  const usage = ['-addext', 'keyUsage=digitalSignature', '-outform', 'DER'];
  const run = spawnSync('openssl', ['req', '-new', ...key, ...options, ...usage]);
  assert.equal(run.status, 0, run.stderr.toString());
  const csr = readCsr(run.stdout);
  assert.deepEqual([csr.uris, csr.dnsNames, csr.otherKinds], [[uri], ['a.example'], [0x87]]);
  assert.ok(csr.subjectDer.length > 10);
});

test('a request that is signed by another key is refused', () => {
  const forged = requestOf({ spki: exportSpki(ecKey()), signedBy: ecKey() });
  throwsCode('csr_invalid', /signature of the signing request is not good/, () => readCsr(forged));
  const mixed = requestOf({ spki: exportSpki(rsa), signedBy: ecKey() });
  throwsCode('csr_invalid', /signature of the signing request is not good/, () => readCsr(mixed));
});

test('a request with another version, a rest, too many bytes or no structure is refused', () => {
  const key = ecKey();
  const good = buildCsr({ key });
  const version1 = requestOf({ spki: exportSpki(key), signedBy: key, version: 1 });
  throwsCode('csr_invalid', /of version 1/, () => readCsr(version1));
  throwsCode('csr_invalid', /something after the end/, () =>
    readCsr(Buffer.concat([good, Buffer.from([0])])),
  );
  throwsCode('csr_invalid', /longer than 16384 bytes/, () => readCsr(new Uint8Array(16_385)));
  throwsCode('csr_invalid', /not well formed: the DER/, () => readCsr(good.subarray(0, 50)));
  throwsCode('csr_invalid', /not well formed: the DER/, () => readCsr(new Uint8Array()));
});

test('DF-10 a key that may not be used is named as such', () => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 1024 });
  throwsCode('key_unsupported', /RSA of 1024 bits/, () => readCsr(buildCsr({ key: privateKey })));
  const edwards = generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'der' });
  throwsCode('key_unsupported', /./, () => readSpki(edwards));
});

test('every flipped byte of a request is refused', () => {
  const good = buildCsr({ key: ecKey(), uris: [uri] });
  for (let at = 0; at < good.length; at++) {
    for (const mask of [1, 0x80, 0xff]) {
      const bad = Buffer.from(good);
      bad[at] = (bad[at] ?? 0) ^ mask;
      assert.throws(() => readCsr(bad), TouchmarkError, `byte ${at}`);
    }
  }
});

function requestOf(parts: {
  spki: Uint8Array;
  signedBy: Parameters<typeof signDer>[1];
  version?: number;
}): Buffer {
  const info = sequence(
    unsignedInteger(Uint8Array.of(parts.version ?? 0)),
    emptyName,
    parts.spki,
    tlv(tag.constructed(0)),
  );
  return sequence(info, signingSchemeOf(parts.signedBy).identifier, bitString(signDer(info, parts.signedBy)));
}
