import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ErrorCode } from '../../src/errors.js';
import { type AnchorSet, operatorAnchors } from '../../src/tpm/anchors.js';
import { type EkTrust, type EkTrustInput, verifyEkCertificate } from '../../src/tpm/ek-trust.js';
import { plainKeyOf } from '../../src/tpm/spki.js';
import {
  createEkAuthority,
  type EkAuthority,
  type EkCertificateOptions,
  unknownCritical,
} from '../fakes/ek-authority.js';
import { createSoftwareTpm } from '../fakes/software-tpm.js';
import { throwsCode } from '../support/rejects.js';

const NOW = Date.UTC(2026, 5, 1);
const ek = createSoftwareTpm().ek('p256-l2').public;
const key = plainKeyOf(ek);
const root = createEkAuthority('Root');
const issuing = root.subordinate('Issuing');
const anchors = operatorAnchors({ anchors: root.pem, name: 'ours', assurance: 'hardware' });

function verify(
  by: EkAuthority,
  change: Partial<EkTrustInput> = {},
  options: EkCertificateOptions = {},
): EkTrust {
  const certificate = by.issue(key, options);
  return verifyEkCertificate({
    certificate,
    ek,
    supplied: [],
    anchors,
    now: NOW,
    expired: 'reject',
    ...change,
  });
}

const under = (
  authority: EkAuthority,
  extra: Partial<Parameters<typeof operatorAnchors>[0]> = {},
): AnchorSet => operatorAnchors({ anchors: authority.pem, name: 'other', assurance: 'virtual', ...extra });

test('a chain to an anchor: directly, over an intermediate of the chip, over one of the set', () => {
  const direct = verify(root);
  assert.equal(direct.anchor.name, 'ours');
  assert.equal(direct.assurance, 'hardware');
  assert.equal(direct.path.length, 1);
  assert.equal(verify(issuing, { supplied: [issuing.der] }).path.length, 2);
  const set = under(root, { intermediates: issuing.pem });
  const known = verify(issuing, { anchors: set });
  assert.equal(known.path.length, 2);
  assert.equal(known.assurance, 'virtual');
});

test('an anchor need not be self-signed: a key is believed, whoever signed it', () => {
  assert.equal(verify(issuing, { anchors: under(issuing) }).path.length, 1);
});

test('authorities with RSA keys, and hashes up to SHA-512', () => {
  const rsa = createEkAuthority('RSA root', { algorithm: 'rsa' });
  for (const hash of ['sha256', 'sha384', 'sha512'] as const) {
    assert.equal(verify(rsa, { anchors: under(rsa) }, { hash }).path.length, 1, hash);
    assert.equal(verify(root, {}, { hash }).path.length, 1, hash);
  }
});

test('what a chip supplies is never an anchor', () => {
  const stranger = createEkAuthority('Stranger');
  const task = () => verify(stranger, { supplied: [stranger.der, root.der] });
  throwsCode('ek_chain_untrusted', /leads to no anchor: its issuer "CN=Stranger" is not known/, task);
});

test('an impostor with the name of an anchor does not pass for it', () => {
  const impostor = createEkAuthority('Root');
  const task = () => verify(impostor, { supplied: [impostor.der] });
  throwsCode(
    'ek_chain_untrusted',
    /"CN=Root" (did not make the signature below it|is not known)|"CN=Root" is not known/,
    task,
  );
});

test('a certificate for another key than the one used is refused, however genuine', () => {
  const other = createSoftwareTpm().ek('p256-l2').public;
  throwsCode('ek_certificate_other_key', /is not the P-256 endorsement key/, () =>
    verify(root, { ek: other }),
  );
});

test('a chain cannot be checked against a wrong signature', () => {
  const task = () => verify(root, {}, { signature: Buffer.alloc(70) });
  throwsCode('ek_chain_untrusted', /"CN=Root" did not make the signature below it/, task);
});

interface Bad {
  name: string;
  by: EkAuthority;
  message: RegExp;
}

const limited = createEkAuthority('Limited', { pathLength: 0 });
const bads: readonly Bad[] = [
  {
    name: 'one that is no authority',
    by: root.subordinate('Leaf', { authority: false }),
    message: /"CN=Leaf" is not an authority/,
  },
  {
    name: 'one that may not sign certificates',
    by: root.subordinate('Mute', { keyUsage: 0x80 }),
    message: /"CN=Mute" may not sign/,
  },
  {
    name: 'one with an unknown critical extension',
    by: root.subordinate('Odd', { extra: [unknownCritical()] }),
    message: /1.2.3.4.5/,
  },
];

for (const { name, by, message } of bads) {
  test(`refused as an intermediate: ${name}`, () => {
    throwsCode('ek_chain_untrusted', message, () => verify(by, { supplied: [by.der] }));
  });
}

test('a path length is kept', () => {
  const below = limited.subordinate('Below');
  const set = under(limited);
  assert.equal(verify(limited, { anchors: set }).path.length, 1);
  const task = () => verify(below, { anchors: set, supplied: [below.der] });
  throwsCode('ek_chain_untrusted', /"CN=Limited" may have 0 authorities below it, not 1/, task);
});

test('SHA-1 is refused unless the anchor says otherwise, and is reported then', () => {
  const task = () => verify(root, {}, { hash: 'sha1' });
  throwsCode('ek_chain_untrusted', /SHA-1 signature, which the anchor "ours" does not allow/, task);
  const allowed = verify(root, { anchors: under(root, { sha1: true }) }, { hash: 'sha1' });
  assert.deepEqual(
    allowed.deviations.map(({ code }) => code),
    ['sha1_signature'],
  );
});

test('an expired certificate follows the policy; one that is not yet valid never passes', () => {
  const old: EkCertificateOptions = { notAfter: Date.UTC(2026, 4, 1) / 1000 };
  throwsCode('ek_certificate_validity', /07 ended on 2026-05-01/, () => verify(root, {}, old));
  assert.deepEqual(
    verify(root, { expired: 'warn' }, old).deviations.map(({ code }) => code),
    ['expired'],
  );
  const before = { expired: 'accept-if-enrolled-before' } as const;
  throwsCode('ek_certificate_validity', /ended on/, () => verify(root, before, old));
  assert.equal(verify(root, { ...before, enrolledBefore: true }, old).deviations.length, 1);
  const future: EkCertificateOptions = { notBefore: Date.UTC(2027, 0, 1) / 1000 };
  throwsCode('ek_certificate_validity', /begins on 2027-01-01/, () =>
    verify(root, { expired: 'warn' }, future),
  );
});

test('an expired authority counts as the certificate does', () => {
  const gone = root.subordinate('Gone', { notAfter: Date.UTC(2026, 2, 1) / 1000 });
  const supplied = [gone.der];
  throwsCode('ek_certificate_validity', /ended on 2026-03-01/, () => verify(gone, { supplied }));
  assert.equal(verify(gone, { supplied, expired: 'warn' }).deviations.length, 1);
});

test('a chain certificate that cannot be read is left out and reported', () => {
  const found = verify(issuing, { supplied: [Buffer.from('noise'), issuing.der] });
  assert.deepEqual(
    found.deviations.map(({ code }) => code),
    ['chain_certificate_unreadable'],
  );
});

test('the work that supplied certificates can cause is bounded', () => {
  const rows: [supplied: Uint8Array[], code: ErrorCode, message: RegExp][] = [
    [Array(17).fill(issuing.der), 'ek_chain_too_large', /17 chain certificates were supplied, at most 16/],
  ];
  for (const [supplied, code, message] of rows)
    throwsCode(code, message, () => verify(issuing, { supplied }));
  const ring = Array.from({ length: 16 }, () => createEkAuthority('Ring'));
  const [first] = ring;
  assert.ok(first);
  const started = process.hrtime.bigint();
  throwsCode('ek_chain_untrusted', /Ring/, () => verify(first, { supplied: ring.map(({ der }) => der) }));
  assert.ok(process.hrtime.bigint() - started < 1_000_000_000n, 'more than a second for one chain');
});

test('a chain of more than eight certificates is refused', () => {
  const path = [root];
  for (let depth = 1; depth < 8; depth++) path.push((path.at(-1) ?? root).subordinate(`Level ${depth}`));
  const [deep, deeper] = [path.at(6), path.at(7)];
  assert.ok(deep && deeper);
  const supplied = path.slice(1).map(({ der }) => der);
  assert.equal(verify(deep, { supplied }).path.length, 7);
  throwsCode('ek_chain_untrusted', /longer than 8 certificates/, () => verify(deeper, { supplied }));
});
