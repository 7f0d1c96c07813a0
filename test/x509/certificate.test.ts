import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import * as pkijs from 'pkijs';
import {
  type CertificateSigner,
  type LeafTemplate,
  leafSubject,
  makeSigner,
  selfSign,
  signCertificate,
} from '../../src/x509/certificate.js';
import { keyUsageBit } from '../../src/x509/extensions.js';
import { exportPkcs8, generateKey, keyTypes } from '../../src/x509/keys.js';
import { describeName, emptyName, encodeName } from '../../src/x509/name.js';
import { oidHex } from '../../src/x509/oid.js';
import { writePem } from '../../src/x509/pem.js';
import { readCertificate } from '../../src/x509/read-certificate.js';
import { exportSpki } from '../../src/x509/spki.js';
import { ecKey, makeLeaf, makeRoot } from '../support/der-factory.js';
import { throwsCode } from '../support/rejects.js';

const now = 1_790_000_000;
const rootTemplate = {
  kind: 'authority',
  serial: Uint8Array.of(1),
  subject: encodeName({ country: 'US', organization: 'Touchmark', serialNumber: '1' }),
  notBefore: now,
  notAfter: now + 86_400,
  uri: 'spiffe://example.org',
} as const;

const authority = selfSign(rootTemplate, ecKey());
const keys = [ecKey(), ecKey('P-384'), await generateKey('rsa-2048')].map((key) => ({
  key,
  spki: exportSpki(key),
}));
const signers: readonly CertificateSigner[] = [
  authority,
  selfSign(rootTemplate, ecKey('P-384')),
  selfSign(rootTemplate, await generateKey('rsa-2048')),
];

const goodLeaf: LeafTemplate = {
  kind: 'leaf',
  serial: Uint8Array.of(0xff, 1),
  subject: leafSubject([]),
  notBefore: now - 10,
  notAfter: now + 3600,
  spki: keys[0]?.spki ?? new Uint8Array(),
  uri: 'spiffe://example.org/web',
  dnsNames: [],
};

const label = fc.stringMatching(/^[a-z0-9]{1,12}$/);
const leaves = fc.record({
  kind: fc.constant('leaf' as const),
  serial: fc.uint8Array({ minLength: 1, maxLength: 16 }).filter((bytes) => bytes.some((byte) => byte !== 0)),
  subject: fc.constantFrom(
    emptyName,
    leafSubject([]),
    encodeName({ commonName: 'Grün, GmbH', organizationalUnit: 'x' }),
  ),
  notBefore: fc.integer({ min: 0, max: 2_524_607_999 }),
  spki: fc.constantFrom(...keys.map(({ spki }) => spki)),
  uri: fc
    .array(label, { minLength: 1, maxLength: 40 })
    .map((segments) => `spiffe://example.org/${segments.join('/')}`),
  dnsNames: fc.array(
    fc.tuple(label, label).map((labels) => labels.join('.')),
    { maxLength: 40 },
  ),
  signer: fc.constantFrom(...signers),
  lifetime: fc.integer({ min: 1, max: 4_000_000_000 }),
});

type Sample = LeafTemplate & { readonly signer: CertificateSigner };
const samples = leaves.map(
  ({ lifetime, ...rest }): Sample => ({ ...rest, notAfter: rest.notBefore + lifetime }),
);

const trimmed = (bytes: Uint8Array) =>
  Buffer.from(bytes)
    .toString('hex')
    .replace(/^(00)+/, '');
const colons = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString('hex');

test('every leaf reads the same in node:crypto', () => {
  fc.assert(
    fc.property(samples, ({ signer, ...template }) => {
      const x509 = new X509Certificate(signCertificate(template, signer));
      const names = [`URI:${template.uri}`, ...template.dnsNames.map((name) => `DNS:${name}`)];
      assert.equal(x509.subjectAltName, names.join(', '));
      assert.equal(x509.serialNumber.toLowerCase(), trimmed(template.serial));
      assert.equal(Date.parse(x509.validFrom) / 1000, template.notBefore);
      assert.equal(Date.parse(x509.validTo) / 1000, template.notAfter);
      assert.deepEqual(x509.publicKey.export({ format: 'der', type: 'spki' }), template.spki);
      assert.equal(x509.ca, false);
      assert.deepEqual(x509.keyUsage, ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
      assert.ok(x509.checkIssued(new X509Certificate(signer.certificate)));
      assert.ok(x509.verify(new X509Certificate(signer.certificate).publicKey));
    }),
    { numRuns: 150 },
  );
});

test('every leaf reads the same in our own reader', () => {
  fc.assert(
    fc.property(samples, ({ signer, ...template }) => {
      const leaf = readCertificate(signCertificate(template, signer));
      assert.deepEqual(leaf.uris, [template.uri]);
      assert.deepEqual(leaf.dnsNames, template.dnsNames);
      assert.equal(leaf.serial, trimmed(template.serial));
      assert.deepEqual([leaf.notBefore, leaf.notAfter], [template.notBefore, template.notAfter]);
      assert.deepEqual(Buffer.from(leaf.subjectDer), Buffer.from(template.subject));
      assert.deepEqual(Buffer.from(leaf.issuerDer), Buffer.from(signer.subjectDer));
      assert.equal(colons(leaf.authorityKeyId), colons(signer.skid));
      assert.equal(leaf.keyUsage, 0xa8);
      assert.equal(leaf.altNamesCritical, template.subject.length === 2);
      assert.deepEqual(leaf.extendedKeyUsage, [oidHex.serverAuth, oidHex.clientAuth]);
      assert.deepEqual(leaf.unknownCritical, []);
    }),
    { numRuns: 150 },
  );
});

test('every leaf reads the same in pkijs', () => {
  fc.assert(
    fc.property(samples, ({ signer, ...template }) => {
      const leaf = pkijs.Certificate.fromBER(Uint8Array.from(signCertificate(template, signer)));
      const extension = (id: string) => leaf.extensions?.find(({ extnID }) => extnID === id);
      assert.equal(leaf.version, 2);
      assert.equal(
        trimmed(new Uint8Array(leaf.serialNumber.valueBlock.valueHexView)),
        trimmed(template.serial),
      );
      assert.equal(leaf.notBefore.value.getTime() / 1000, template.notBefore);
      assert.equal(leaf.notAfter.value.getTime() / 1000, template.notAfter);
      assert.deepEqual(Buffer.from(leaf.subject.toSchema().toBER()), Buffer.from(template.subject));
      assert.deepEqual(Buffer.from(leaf.subjectPublicKeyInfo.toSchema().toBER()), Buffer.from(template.spki));
      const altNames: unknown = extension('2.5.29.17')?.parsedValue;
      assert.ok(altNames instanceof pkijs.AltName);
      assert.deepEqual(
        altNames.altNames.map(({ type, value }) => [type, value]),
        [[6, template.uri], ...template.dnsNames.map((name) => [2, name])],
      );
      assert.equal(extension('2.5.29.15')?.critical, true);
      assert.equal(extension('2.5.29.19')?.critical, true);
      assert.deepEqual(
        leaf.extensions?.map(({ extnID }) => extnID),
        ['2.5.29.15', '2.5.29.37', '2.5.29.19', '2.5.29.14', '2.5.29.35', '2.5.29.17'],
      );
    }),
    { numRuns: 60 },
  );
});

test('samples of leaves read the same in openssl, which also verifies their chains strictly', () => {
  fc.assert(
    fc.property(samples, ({ signer, ...template }) => {
      const der = signCertificate({ ...template, notBefore: now, notAfter: now + 60 }, signer);
      const options = [
        '-noout',
        '-serial',
        '-ext',
        'subjectAltName,keyUsage,extendedKeyUsage,basicConstraints',
      ];
      const shown = openssl(['x509', '-inform', 'DER', ...options], der);
      assert.ok(
        shown.includes(`URI:${template.uri}`) &&
          template.dnsNames.every((name) => shown.includes(`DNS:${name}`)),
      );
      assert.match(shown, /serial=([0-9A-F]+)/);
      assert.ok(shown.toLowerCase().includes(`serial=${trimmed(template.serial)}`), shown);
      assert.match(shown, /Key Usage: critical\n\s+Digital Signature, Key Encipherment, Key Agreement\n/);
      assert.match(shown, /TLS Web Server Authentication, TLS Web Client Authentication/);
      assert.match(shown, /Basic Constraints: critical\n\s+CA:FALSE/);
      const files = writePem('CERTIFICATE', signer.certificate) + writePem('CERTIFICATE', der);
      assert.match(verifyWithOpenssl(files), /stdin: OK|OK/);
    }),
    { numRuns: 6 },
  );
});

function openssl(args: readonly string[], input: Uint8Array | string): string {
  const run = spawnSync('openssl', args, { input });
  assert.equal(run.status, 0, run.stderr.toString());
  return run.stdout.toString();
}

/** The shell gives openssl the two certificates as files without touching the disk. */
function verifyWithOpenssl(rootAndLeaf: string): string {
  const [root = '', leaf = ''] = rootAndLeaf.split(/(?<=-----END CERTIFICATE-----\n)/);
  const script = `openssl verify -x509_strict -attime ${now + 5} -CAfile <(printf %s "$ROOT") <(printf %s "$LEAF")`;
  const run = spawnSync('bash', ['-c', script], { env: { ...process.env, ROOT: root, LEAF: leaf } });
  assert.equal(run.status, 0, run.stderr.toString() + run.stdout.toString());
  return run.stdout.toString();
}

test('SV-01, SV-02, XS-07, XS-15, XS-19, XS-22, XS-29: our own root is an SVID of its trust domain', () => {
  const root = readCertificate(authority.certificate);
  assert.deepEqual(root.uris, ['spiffe://example.org']);
  assert.deepEqual(root.issuerDer, root.subjectDer);
  assert.equal(root.authority, true);
  assert.equal(root.pathLength, undefined);
  assert.equal(root.keyUsage, keyUsageBit.keyCertSign | keyUsageBit.crlSign);
  assert.ok(root.keyUsageCritical && root.basicConstraintsPresent);
  assert.equal(root.extendedKeyUsage, undefined);
  assert.deepEqual(root.subjectKeyId, root.authorityKeyId);
  assert.equal(describeName(root.subjectDer), 'C=US, O=Touchmark, serialNumber=1');
  assert.ok(
    new X509Certificate(authority.certificate).verify(new X509Certificate(authority.certificate).publicKey),
  );
});

test('XS-10: an intermediate carries the ID of the trust domain and its path length', () => {
  const template = { ...rootTemplate, pathLength: 0, spki: exportSpki(ecKey()) };
  const intermediate = readCertificate(signCertificate(template, authority));
  assert.deepEqual(intermediate.uris, ['spiffe://example.org']);
  assert.equal(intermediate.pathLength, 0);
  assert.equal(colons(intermediate.authorityKeyId), colons(authority.skid));
});

test('XS-05, XS-21: an empty subject makes the name critical, and both purposes are always there', () => {
  const bare = readCertificate(signCertificate({ ...goodLeaf, subject: emptyName }, authority));
  assert.equal(bare.altNamesCritical, true);
  assert.deepEqual(bare.extendedKeyUsage, [oidHex.serverAuth, oidHex.clientAuth]);
  assert.equal(readCertificate(signCertificate(goodLeaf, authority)).altNamesCritical, false);
});

test('the subject names the first DNS name when it fits', () => {
  assert.equal(describeName(leafSubject([])), 'C=US, O=Touchmark');
  assert.equal(describeName(leafSubject(['a.b', 'c.d'])), 'C=US, O=Touchmark, CN=a.b');
  assert.equal(describeName(leafSubject(['a'.repeat(65)])), 'C=US, O=Touchmark');
});

test('a serial of zero, of more than 16 bytes, and a time that cannot be are refused', () => {
  const cases: Array<[Partial<LeafTemplate>, RegExp]> = [
    [{ serial: new Uint8Array(4) }, /serial number is zero or longer/],
    [{ serial: new Uint8Array() }, /serial number is zero or longer/],
    [{ serial: new Uint8Array(17).fill(1) }, /serial number is zero or longer/],
    [{ notAfter: goodLeaf.notBefore }, /would end \(1789999990\) before it begins/],
    [{ notBefore: 1.5 }, /1.5 is not a time/],
    [{ notBefore: -1 }, /-1 is not a time/],
    [{ notAfter: 253_402_300_800 }, /253402300800 is not a time/],
    [{ notAfter: Number.NaN }, /NaN is not a time/],
  ];
  for (const [part, message] of cases) {
    throwsCode('certificate_invalid', message, () => signCertificate({ ...goodLeaf, ...part }, authority));
  }
});

test('a signer is a key with its own certificate of an authority', () => {
  const root = makeRoot();
  assert.deepEqual(makeSigner(root.key, root.der).subjectDer, root.subjectDer);
  const again = makeSigner(authority.key, authority.certificate);
  assert.deepEqual(again.skid, authority.skid);
  throwsCode('certificate_invalid', /not the key of its certificate/, () => makeSigner(ecKey(), root.der));
  const leaf = makeLeaf(root);
  throwsCode('certificate_invalid', /not one of an authority/, () => makeSigner(leaf.key, leaf.der));
});

test('each key type is made, exported as PKCS#8 and read back', async () => {
  for (const type of keyTypes.filter((name) => name !== 'rsa-4096')) {
    const key = await generateKey(type);
    const der = exportPkcs8(key);
    assert.ok(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }).equals(key));
  }
});
