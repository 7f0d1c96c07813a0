import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { readAnchorIndex } from '../../src/tpm/anchor-index.js';
import { mergeAnchors, operatorAnchors } from '../../src/tpm/anchors.js';
import { readTpmCertificate } from '../../src/tpm/certificate.js';
import { buildEkChain } from '../../src/tpm/ek-chain.js';
import { verifyEkCertificate } from '../../src/tpm/ek-trust.js';
import { readPemCertificates } from '../../src/x509/pem.js';
import { createEkAuthority } from '../fakes/ek-authority.js';
import { throwsCode } from '../support/rejects.js';
import { repoRoot } from '../support/root.js';
import { haveVectors, readVector } from '../support/vectors.js';
import { readRecorded } from '../vectors/recorded.js';

const folder = join(repoRoot(), 'data', 'ek-anchors');
const readShipped = (name: string): string => readFileSync(join(folder, name), 'utf8');
const shipped = readAnchorIndex(readShipped('index.json'), readShipped);
const NOW = Date.UTC(2026, 5, 1);

test('the shipped set: 26 anchors, 143 intermediates, hardware all of them, SHA-1 nowhere', () => {
  assert.equal(shipped.version, '2026-04-11');
  assert.equal(shipped.anchors.length, 26);
  assert.equal(shipped.intermediates.length, 143);
  assert.ok(shipped.anchors.every(({ assurance, sha1 }) => assurance === 'hardware' && !sha1));
  const vendors = [...new Set(shipped.anchors.map(({ vendor }) => vendor))].sort();
  assert.deepEqual(vendors, ['AMD', 'IFX', 'INTC', 'MSFT', 'NSG', 'NTC', 'STM']);
});

test('three shipped anchors are not self-signed, and are anchors all the same', () => {
  const crossed = shipped.anchors.filter(
    ({ certificate }) => !Buffer.from(certificate.issuer).equals(certificate.subject),
  );
  assert.equal(crossed.length, 3);
});

test('every shipped intermediate leads to a shipped anchor', () => {
  for (const intermediate of shipped.intermediates) {
    assert.ok(buildEkChain(intermediate, [], shipped).path.length < 8, intermediate.fingerprint);
  }
});

test('no shipped anchor is that of a software TPM', () => {
  const text = JSON.stringify(shipped.anchors.map(({ name, vendor }) => [name, vendor])).toLowerCase();
  assert.doesNotMatch(text, /swtpm|software|test/);
});

test('a real Nuvoton certificate chains to its vendor', (t) => {
  if (!haveVectors(t)) return;
  const [certificate] = readPemCertificates(readVector('ek/nuvoton_npct75x_rsa.pem').toString());
  assert.ok(certificate);
  const found = verifyEkCertificate({
    certificate,
    supplied: [],
    anchors: shipped,
    now: NOW,
    expired: 'reject',
  });
  assert.deepEqual([found.anchor.name, found.anchor.vendor], ['Nuvoton TPM Root CA 2111', 'NTC']);
  assert.equal(found.assurance, 'hardware');
});

test("swtpm's certificates chain to their own authority once an operator names it, and to nothing shipped", () => {
  const own = operatorAnchors({
    anchors: readRecorded('vm/ek-root.pem').toString(),
    intermediates: readRecorded('vm/ek-issuer.pem').toString(),
    name: 'lab',
    assurance: 'virtual',
  });
  const now = Date.UTC(2026, 10, 24);
  for (const name of ['ek-rsa-2048.der', 'ek-ecc-p384.der']) {
    const input = {
      certificate: readRecorded(`vm/${name}`),
      supplied: [],
      now,
      expired: 'reject',
    } as const;
    throwsCode('ek_chain_untrusted', /swtpm-localca/, () =>
      verifyEkCertificate({ ...input, anchors: shipped }),
    );
    const found = verifyEkCertificate({ ...input, anchors: mergeAnchors(shipped, own) });
    assert.deepEqual([found.anchor.name, found.assurance], ['lab', 'virtual']);
  }
});

test('sets are merged, and a later row for the same certificate counts', () => {
  const authority = createEkAuthority('Lab');
  const lab = operatorAnchors({ anchors: authority.pem, name: 'lab', assurance: 'virtual' });
  const better = operatorAnchors({
    anchors: authority.pem,
    name: 'lab 2',
    assurance: 'hardware',
    sha1: true,
  });
  const merged = mergeAnchors(shipped, lab, better);
  assert.equal(merged.version, '2026-04-11+lab+lab 2');
  assert.equal(merged.anchors.length, 27);
  assert.deepEqual(merged.anchors.at(-1)?.name, 'lab 2');
  assert.equal(merged.anchorsFor(readTpmCertificate(authority.subordinate('Sub').der))[0]?.sha1, true);
});

const sha256 = (data: string | Uint8Array): string => createHash('sha256').update(data).digest('hex');
const authority = createEkAuthority('Own');
const files: Record<string, string> = { 'a.pem': authority.pem };
const file = { name: 'a.pem', role: 'anchors', sha256: sha256(authority.pem) };
const row = { sha256: sha256(authority.der), role: 'anchor', vendor: 'V', name: 'N' };
const index = (change: object = {}): string =>
  JSON.stringify({ version: '1', files: [file], certificates: [row], ...change });
const read = (text: string) => () => readAnchorIndex(text, (name) => files[name] ?? '');

test('an index is read with its defaults: hardware, no SHA-1', () => {
  const [anchor] = read(index())().anchors;
  assert.deepEqual(
    [anchor?.name, anchor?.vendor, anchor?.assurance, anchor?.sha1],
    ['N', 'V', 'hardware', false],
  );
});

test('an index that does not fit its files is refused, naming what is wrong', () => {
  throwsCode('anchors_invalid', /not JSON/, read('{'));
  throwsCode('anchors_invalid', /no version/, read('{}'));
  throwsCode(
    'anchors_invalid',
    /without its fields/,
    read(index({ certificates: [{ ...row, role: 'root' }] })),
  );
  throwsCode(
    'anchors_invalid',
    /without its fields/,
    read(index({ certificates: [{ ...row, assurance: 'great' }] })),
  );
  throwsCode('anchors_invalid', /a.pem has the SHA-256/, read(index({ files: [{ ...file, sha256: '00' }] })));
  throwsCode('anchors_invalid', /not listed as one of anchors/, read(index({ certificates: [] })));
  throwsCode(
    'anchors_invalid',
    /not listed as one of anchors/,
    read(index({ certificates: [{ ...row, role: 'intermediate' }] })),
  );
  const more = { ...row, sha256: 'ff' };
  throwsCode(
    'anchors_invalid',
    /certificate ff is listed but in none/,
    read(index({ certificates: [row, more] })),
  );
});

test('a PEM file with something else than certificates is refused', () => {
  const bad = Buffer.from('not a certificate').toString('base64');
  const pem = `-----BEGIN CERTIFICATE-----\n${bad}\n-----END CERTIFICATE-----\n`;
  const task = () => operatorAnchors({ anchors: pem, name: 'x', assurance: 'virtual' });
  throwsCode('anchors_invalid', /certificate 1 of the anchors cannot be read/, task);
});
