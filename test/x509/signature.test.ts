import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { hasSigned, verifyChain } from '../../src/x509/chain.js';
import { readPem } from '../../src/x509/pem.js';
import { type Certificate, readCertificate } from '../../src/x509/read-certificate.js';
import { ecKey } from '../support/der-factory.js';
import { haveVectors, readVector } from '../support/vectors.js';

const pss = (hash: string, salt: string) => [
  `-${hash}`,
  '-sigopt',
  'rsa_padding_mode:pss',
  '-sigopt',
  `rsa_pss_saltlen:${salt}`,
];

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;

/** A root that openssl signs in its own way; the shell hands it the key without touching the disk. */
function opensslRoot(key: KeyObject, signing: readonly string[]): Certificate {
  const shape = ['-new', '-x509', '-days', '2', '-subj', '/CN=foreign', '-outform', 'DER', ...signing];
  const script = 'openssl req -key <(printf %s "$KEY") "$@"';
  const pem = key.export({ format: 'pem', type: 'pkcs8' }).toString();
  const run = spawnSync('bash', ['-c', script, 'openssl', ...shape], { env: { ...process.env, KEY: pem } });
  assert.equal(run.status, 0, run.stderr.toString());
  return readCertificate(run.stdout);
}

test('signatures of foreign authorities are verified: RSA with both paddings, each curve, Ed25519', () => {
  const kinds: Array<[KeyObject, readonly string[]]> = [
    [rsa, ['-sha256']],
    [rsa, ['-sha512']],
    [rsa, pss('sha256', 'digest')],
    [rsa, pss('sha384', 'digest')],
    [rsa, pss('sha512', 'digest')],
    [ecKey(), ['-sha512']],
    [ecKey('P-384'), ['-sha384']],
    [ecKey('P-521'), ['-sha512']],
    [generateKeyPairSync('ed25519').privateKey, []],
  ];
  for (const [key, signing] of kinds) {
    const root = opensslRoot(key, signing);
    assert.ok(hasSigned(root, root), `${key.asymmetricKeyType} ${signing}`);
    assert.equal(verifyChain(root, [], [root], { now: root.notBefore + 60 }).length, 2);
    const tbs = Buffer.from(root.tbs);
    tbs[40] = (tbs[40] ?? 0) ^ 1;
    assert.equal(hasSigned(root, { ...root, tbs }), false);
  }
});

test('SHA-1 and PSS with another salt than the hash asks are not believed', () => {
  for (const signing of [['-sha1'], pss('sha256', '20'), pss('sha1', 'digest')]) {
    const root = opensslRoot(rsa, signing);
    assert.equal(hasSigned(root, root), false, signing.join(' '));
  }
});

test('who signed whom among the vendors of TPMs is as node:crypto says', (t) => {
  if (!haveVectors(t)) return;
  const certificates = ['ca/roots.pem', 'ca/intermediates.pem']
    .flatMap(
      (file) =>
        readVector(file)
          .toString('latin1')
          .match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [],
    )
    .flatMap((block) => readPem(block.replaceAll('\r', '')))
    .map(({ der }) => ({ ours: readCertificate(der), theirs: new X509Certificate(der) }));
  let [agreed, signed] = [0, 0];
  for (const issuer of certificates) {
    for (const child of certificates) {
      if (Buffer.compare(child.ours.issuerDer, issuer.ours.subjectDer) !== 0) continue;
      const sha1 = Buffer.from(child.ours.signatureAlgorithm).toString('hex').includes('2a864886f70d010105');
      const expected = !sha1 && child.theirs.verify(issuer.theirs.publicKey);
      assert.equal(hasSigned(issuer.ours, child.ours), expected, child.theirs.subject);
      agreed += 1;
      if (expected) signed += 1;
    }
  }
  assert.ok(agreed > 10 && signed > 5, `${agreed} pairs, ${signed} signed`);
});
