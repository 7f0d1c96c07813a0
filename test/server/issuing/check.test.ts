import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { hasCode } from '../../../src/errors.js';
import type { X509Signer } from '../../../src/server/contract.js';
import { checkAuthority, checkLeaf } from '../../../src/server/issuing/check.js';
import { signerOpener } from '../../../src/server/issuing/signer.js';
import { parseSpiffeId } from '../../../src/spiffe/id.js';
import {
  type AuthorityTemplate,
  type LeafTemplate,
  leafSubject,
  selfSign,
  signCertificate,
} from '../../../src/x509/certificate.js';
import { generateKey } from '../../../src/x509/keys.js';
import { encodeName } from '../../../src/x509/name.js';
import { readCertificate } from '../../../src/x509/read-certificate.js';
import { exportSpki } from '../../../src/x509/spki.js';

const id = parseSpiffeId('spiffe://example.org/web');
const other = parseSpiffeId('spiffe://example.org/other');
const times = { notBefore: 1_790_000_000, notAfter: 1_790_003_600 };
const subject = encodeName({ organization: 'CA' });
const root = {
  kind: 'authority',
  serial: Uint8Array.of(1),
  subject,
  uri: 'spiffe://example.org',
  ...times,
} as const;
const signer = selfSign(root, await generateKey('ec-p256'));
const spki = exportSpki(await generateKey('ec-p256'));
const otherSpki = exportSpki(await generateKey('ec-p256'));

const leaf: LeafTemplate = {
  kind: 'leaf',
  serial: Uint8Array.of(0, 7, 7),
  subject: leafSubject([]),
  ...times,
  spki,
  uri: id,
  dnsNames: ['a.example.org'],
};
const authority: AuthorityTemplate = {
  ...root,
  serial: Uint8Array.of(9),
  spki,
  subject: encodeName({ organization: 'D' }),
};

function mismatch(task: () => unknown, message: RegExp): void {
  assert.throws(task, (error: unknown) => {
    assert.ok(hasCode(error, 'issued_mismatch'), String(error));
    assert.match(error.message, message);
    return true;
  });
}

describe('a leaf that was signed', () => {
  test('passes when it is what was meant', () => {
    const read = checkLeaf(signCertificate(leaf, signer), leaf, id, signer);
    assert.equal(read.serial, '0707');
  });

  const changes: [string, Partial<LeafTemplate>][] = [
    ['another ID', { uri: other }],
    ['another key', { spki: otherSpki }],
    ['other DNS names', { dnsNames: ['b.example.org'] }],
    ['no DNS name', { dnsNames: [] }],
    ['an earlier begin', { notBefore: times.notBefore - 1 }],
    ['a later end', { notAfter: times.notAfter + 1 }],
    ['no path in its ID', { uri: 'spiffe://example.org' }],
  ];
  for (const [what, change] of changes) {
    test(`is refused with ${what}`, () => {
      const der = signCertificate({ ...leaf, ...change }, signer);
      mismatch(() => checkLeaf(der, leaf, id, signer), /^the issued certificate is not what was asked for$/);
    });
  }

  test('is refused with another serial number', () => {
    const der = signCertificate({ ...leaf, serial: Uint8Array.of(7, 8) }, signer);
    mismatch(() => checkLeaf(der, leaf, id, signer), /is not what was asked for in its serial number$/);
  });

  test('is refused when another authority signed it, or when it is an authority', async () => {
    const stranger = selfSign(
      { ...root, subject: encodeName({ organization: 'X' }) },
      await generateKey('ec-p256'),
    );
    mismatch(
      () => checkLeaf(signCertificate(leaf, stranger), leaf, id, signer),
      /is not what was asked for$/,
    );
    const der = signCertificate({ ...authority, uri: id }, signer);
    mismatch(() => checkLeaf(der, leaf, id, signer), /is not what was asked for$/);
  });
});

describe('an authority that was signed', () => {
  test('passes when it is what was meant', () => {
    assert.equal(checkAuthority(signCertificate(authority, signer), authority, signer).authority, true);
  });

  const changes: [string, RegExp, Partial<AuthorityTemplate>][] = [
    ['another serial number', /in its serial number$/, { serial: Uint8Array.of(8) }],
    ['another ID', /in its URI$/, { uri: 'spiffe://other.org' }],
    ['another key', /in its public key$/, { spki: otherSpki }],
    ['another begin', /in its begin$/, { notBefore: times.notBefore + 1 }],
    ['another end', /in its end$/, { notAfter: times.notAfter - 1 }],
    ['another subject', /in its subject$/, { subject }],
    ['a path length', /in its basic constraints$/, { pathLength: 0 }],
  ];
  for (const [what, message, change] of changes) {
    test(`is refused with ${what}`, () => {
      const der = signCertificate({ ...authority, ...change }, signer);
      mismatch(() => checkAuthority(der, authority, signer), message);
    });
  }

  test('is refused when it is a leaf, or of another issuer', async () => {
    const der = signCertificate({ ...leaf, ...authority, kind: 'leaf', dnsNames: [] }, signer);
    mismatch(() => checkAuthority(der, authority, signer), /in its key usage$/);
    const named = signCertificate({ ...leaf, ...authority, kind: 'leaf', dnsNames: ['x'] }, signer);
    mismatch(() => checkAuthority(named, authority, signer), /in its names$/);
    const key = await generateKey('ec-p256');
    const renamed = selfSign({ ...root, subject: encodeName({ organization: 'X' }) }, key);
    mismatch(() => checkAuthority(signCertificate(authority, renamed), authority, signer), /in its issuer$/);
    const twin = selfSign(root, key);
    mismatch(() => checkAuthority(signCertificate(authority, twin), authority, signer), /in its issuer key$/);
  });
});

describe('a signer that was opened', () => {
  const x509: X509Signer = {
    id: 'ca',
    key: signer.key,
    certificate: signer.certificate,
    intermediates: [],
    notAfter: 1,
  };

  test('is the same object for the same signer', () => {
    const open = signerOpener();
    assert.equal(open(x509), open(x509));
    assert.notEqual(open(x509), open({ ...x509 }));
  });

  test('verifies its first certificate, and refuses one whose signature is not good', () => {
    const opened = signerOpener()(x509);
    const der = Buffer.from(signCertificate(leaf, signer));
    const last = der.length - 1;
    const broken = Buffer.from(der);
    broken[last] = (broken[last] ?? 0) ^ 1;
    mismatch(
      () => opened.verifyOnce(readCertificate(broken)),
      /^the signature of the issued certificate is not that of its authority$/,
    );
    opened.verifyOnce(readCertificate(der));
    assert.doesNotThrow(() => opened.verifyOnce(readCertificate(broken)), 'once for each key that is loaded');
  });
});
