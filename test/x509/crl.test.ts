import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import * as pkijs from 'pkijs';
import { TouchmarkError } from '../../src/errors.js';
import { leafSubject, selfSign, signCertificate } from '../../src/x509/certificate.js';
import { crlReason, type RevokedCertificate, signCrl } from '../../src/x509/crl.js';
import { bitString, oid, sequence, tag, tlv, unsignedInteger } from '../../src/x509/der.js';
import { authorityKeyId, extension } from '../../src/x509/extensions.js';
import { encodeName } from '../../src/x509/name.js';
import { writePem } from '../../src/x509/pem.js';
import { readCertificate } from '../../src/x509/read-certificate.js';
import { readCrl, verifyCrl } from '../../src/x509/read-crl.js';
import { signDer, signingSchemeOf } from '../../src/x509/signature.js';
import { exportSpki } from '../../src/x509/spki.js';
import { encodeTime } from '../../src/x509/time.js';
import { throwsCode } from '../support/rejects.js';

const now = Math.floor(Date.now() / 1000);
const authorityOf = (namedCurve: string) =>
  selfSign(
    {
      kind: 'authority',
      serial: Uint8Array.of(1),
      subject: encodeName({ organization: 'T', commonName: namedCurve }),
      uri: 'spiffe://example.org',
      notBefore: now - 100,
      notAfter: now + 1000,
    },
    generateKeyPairSync('ec', { namedCurve }).privateKey,
  );
const authority = authorityOf('P-256');
const issuer = readCertificate(authority.certificate);
const spki = exportSpki(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey);
const leaf = (serial: Uint8Array) =>
  signCertificate(
    {
      kind: 'leaf',
      serial,
      subject: leafSubject([]),
      notBefore: now - 10,
      notAfter: now + 500,
      spki,
      uri: 'spiffe://example.org/a',
      dnsNames: [],
    },
    authority,
  );
const entry = (serial: Uint8Array): RevokedCertificate => ({
  serial,
  revokedAt: now - 5,
  reason: crlReason.privilegeWithdrawn,
});
const listOf = (serials: readonly Uint8Array[], number = 7n) =>
  signCrl({ number, thisUpdate: now, nextUpdate: now + 600, entries: serials.map(entry) }, authority);

test('a list of very many entries is signed and read as a short one is', () => {
  const serials = Array.from({ length: 150_000 }, (_, n) => Buffer.from((2 ** 31 + n).toString(16), 'hex'));
  const crl = readCrl(listOf(serials));
  assert.equal(crl.entries.size, serials.length);
  verifyCrl(crl, issuer, { now });
});

test('a list says what it was made of, in the order of the serial numbers, each once', () => {
  const serials = [Uint8Array.of(0x80), Uint8Array.of(1, 2), Uint8Array.of(0, 5), Uint8Array.of(0x80)];
  const crl = readCrl(listOf(serials, 260n));
  assert.deepEqual([...crl.entries.keys()], ['05', '80', '0102']);
  assert.deepEqual(crl.entries.get('0102'), { revokedAt: now - 5, reason: 9 });
  assert.deepEqual([crl.number, crl.thisUpdate, crl.nextUpdate], [260n, now, now + 600]);
  assert.deepEqual(Buffer.from(crl.authorityKeyId ?? []), Buffer.from(authority.skid));
  verifyCrl(crl, issuer, { now });
});

test('a list of nothing has no list, and one without a reason no extension', () => {
  assert.equal(readCrl(listOf([])).entries.size, 0);
  const entries = [{ serial: Uint8Array.of(3), revokedAt: now, reason: crlReason.unspecified }];
  const crl = readCrl(signCrl({ number: 0n, thisUpdate: now, nextUpdate: now + 1, entries }, authority));
  assert.deepEqual([crl.number, crl.entries.get('03')?.reason], [0n, 0]);
});

test('what cannot be a list is not signed', () => {
  throwsCode('crl_invalid', /end before it begins/, () =>
    signCrl({ number: 1n, thisUpdate: now, nextUpdate: now, entries: [] }, authority),
  );
  throwsCode('crl_invalid', /is zero/, () => listOf([Uint8Array.of(0, 0)]));
  throwsCode('crl_invalid', /is no CRL number/, () => listOf([], -1n));
  throwsCode('crl_invalid', /is no CRL number/, () => listOf([], 1n << 160n));
});

test('any serial numbers come back as they are in certificates', () => {
  const serials = fc.uniqueArray(fc.uint8Array({ minLength: 1, maxLength: 16 }), {
    maxLength: 40,
    selector: (bytes) =>
      Buffer.from(bytes)
        .toString('hex')
        .replace(/^(00)+/, ''),
  });
  fc.assert(
    fc.property(serials, (all) => {
      const some = all.filter((serial) => serial.some((byte) => byte !== 0));
      const crl = readCrl(listOf(some));
      const meant = some.map((serial) => readCertificate(leaf(serial)).serial);
      assert.deepEqual([...crl.entries.keys()].sort(), meant.sort());
    }),
    { numRuns: 30 },
  );
});

test('a list is believed of its own authority only, while it is of now, and unchanged', () => {
  const der = listOf([Uint8Array.of(9)]);
  const crl = readCrl(der);
  const other = authorityOf('P-256');
  const renamed = readCertificate(authorityOf('P-384').certificate);
  const refused = (message: RegExp, run: () => void) => throwsCode('crl_untrusted', message, run);
  refused(/another authority/, () => verifyCrl(crl, renamed, { now }));
  refused(/another of the authority's keys/, () =>
    verifyCrl(crl, readCertificate(other.certificate), { now }),
  );
  refused(/not of now/, () => verifyCrl(crl, issuer, { now: now - 1 }));
  refused(/out of date since/, () => verifyCrl(crl, issuer, { now: now + 601 }));
  refused(/may not sign CRLs/, () => verifyCrl(crl, { ...issuer, keyUsage: 0x04 }, { now }));
  refused(/may not sign CRLs/, () => verifyCrl(crl, { ...issuer, authority: false }, { now }));
  const forged = readCrl(
    signCrl(
      { number: 7n, thisUpdate: now, nextUpdate: now + 600, entries: [] },
      { ...authority, key: other.key },
    ),
  );
  refused(/signature that is not good/, () => verifyCrl(forged, issuer, { now }));
});

test('no changed byte of a list is both read and believed', () => {
  const der = listOf([randomBytes(16), randomBytes(16)]);
  for (let at = 0; at < der.length; at += 1) {
    const changed = Buffer.from(der);
    changed[at] = (changed[at] ?? 0) ^ 0x01;
    assert.throws(
      () => verifyCrl(readCrl(changed), issuer, { now }),
      (error: unknown) =>
        error instanceof TouchmarkError && ['crl_invalid', 'crl_untrusted'].includes(error.code),
      `byte ${at}`,
    );
  }
});

/** A signed list out of any parts. */
function raw(parts: {
  version?: Uint8Array;
  times?: Uint8Array[];
  list?: Uint8Array[];
  more?: Uint8Array[];
}): Buffer {
  const algorithm = signingSchemeOf(authority.key).identifier;
  const tbs = sequence(
    parts.version ?? unsignedInteger(Uint8Array.of(1)),
    algorithm,
    authority.subjectDer,
    ...(parts.times ?? [encodeTime(now), encodeTime(now + 60)]),
    ...(parts.list ?? []),
    tlv(tag.constructed(0), sequence(authorityKeyId(authority.skid), ...(parts.more ?? []))),
  );
  return sequence(tbs, algorithm, bitString(signDer(tbs, authority.key)));
}

test('lists that say less or other than all of it are refused', () => {
  const refused = (message: RegExp, der: Uint8Array) =>
    throwsCode('crl_invalid', message, () => readCrl(der));
  const item = (serial: number, ...more: Uint8Array[]) =>
    sequence(unsignedInteger(Uint8Array.of(serial)), encodeTime(now), ...more);
  const flag = (id: string) => extension(oid(id), true, unsignedInteger(Uint8Array.of(1)));
  assert.equal(readCrl(raw({})).number, undefined);
  refused(/of version 1/, raw({ version: new Uint8Array() }));
  refused(/of version 3/, raw({ version: unsignedInteger(Uint8Array.of(2)) }));
  refused(/when the next one comes/, raw({ times: [encodeTime(now)] }));
  refused(/empty list/, raw({ list: [sequence()] }));
  refused(/lists serial 05 twice/, raw({ list: [sequence(item(5), item(5))] }));
  refused(/critical extension 2\.5\.29\.27/, raw({ more: [flag('2.5.29.27')] }));
  refused(/critical extension 2\.5\.29\.28/, raw({ more: [flag('2.5.29.28')] }));
  refused(/critical extension 2\.5\.29\.29/, raw({ list: [sequence(item(5, sequence(flag('2.5.29.29'))))] }));
  const reason = sequence(extension(oid('2.5.29.21'), false, tlv(0x0a, Uint8Array.of(77))));
  refused(/unknown reason/, raw({ list: [sequence(item(5, reason))] }));
  refused(/longer than 16777216 bytes/, Buffer.alloc(16 * 1024 * 1024 + 1));
  refused(/cannot be read/, Buffer.from('3003020101', 'hex'));
});

test('OpenSSL reads and verifies our lists, and refuses the certificates on them', (t) => {
  if (spawnSync('openssl', ['version']).status !== 0) return t.skip('no openssl');
  const dir = mkdtempSync(join(tmpdir(), 'crl-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const file = (name: string, label: string, der: Uint8Array) => {
    writeFileSync(join(dir, name), writePem(label, der));
    return join(dir, name);
  };
  const [bad, good] = [randomBytes(16), randomBytes(16)];
  const ca = file('ca.pem', 'CERTIFICATE', authority.certificate);
  const crl = file('crl.pem', 'X509 CRL', listOf([bad, randomBytes(16)]));
  const run = (...args: string[]) => spawnSync('openssl', args, { encoding: 'utf8' });
  const shown = run('crl', '-in', crl, '-CAfile', ca, '-noout', '-text');
  assert.match(shown.stderr, /verify OK/);
  assert.match(shown.stdout, /Version 2[\s\S]*X509v3 CRL Number:\s+7[\s\S]*Privilege Withdrawn/);
  const check = (name: string, serial: Uint8Array) =>
    run('verify', '-crl_check', '-CAfile', ca, '-CRLfile', crl, file(name, 'CERTIFICATE', leaf(serial)));
  assert.match(check('good.pem', good).stdout, /good\.pem: OK/);
  assert.match(check('bad.pem', bad).stderr, /certificate revoked/);
});

test('pkijs reads and verifies our lists', async () => {
  for (const curve of ['P-256', 'P-384']) {
    const signer = authorityOf(curve);
    const der = signCrl(
      { number: 3n, thisUpdate: now, nextUpdate: now + 60, entries: [entry(Uint8Array.of(0x81, 2))] },
      signer,
    );
    const crl = pkijs.CertificateRevocationList.fromBER(der);
    const certificate = pkijs.Certificate.fromBER(signer.certificate);
    assert.equal(await crl.verify({ issuerCertificate: certificate }), true, curve);
    const [revoked] = crl.revokedCertificates ?? [];
    assert.equal(
      Buffer.from(revoked?.userCertificate.valueBlock.valueHexView ?? []).toString('hex'),
      '008102',
    );
  }
});
