import assert from 'node:assert/strict';
import { createHash, createPublicKey } from 'node:crypto';
import { test } from 'node:test';
import { parseQuote } from '../../src/tpm/attest.js';
import { checkAttestationKey } from '../../src/tpm/attestation-key.js';
import { verifyCertify } from '../../src/tpm/certify.js';
import { compareClocks } from '../../src/tpm/clocks.js';
import { checkEndorsementKey } from '../../src/tpm/endorsement-key.js';
import { makeCredential } from '../../src/tpm/make-credential.js';
import { nameOf } from '../../src/tpm/name.js';
import type { PcrSelection } from '../../src/tpm/pcr.js';
import { parsePublic, parseSizedPublic, serialisePublic } from '../../src/tpm/public.js';
import { explainQuote, type QuoteFacts, verifyQuote } from '../../src/tpm/quote.js';
import { readerOf } from '../../src/tpm/reader.js';
import { parseSignature, serialiseSignature } from '../../src/tpm/signature.js';
import { ekHash, plainKeyOf, spkiOf } from '../../src/tpm/spki.js';
import { throwsCode } from '../support/rejects.js';
import { haveVectors, readVector } from '../support/vectors.js';
import { readRecorded } from '../vectors/recorded.js';

const all: PcrSelection = { bank: 'sha256', pcrs: [...Array(16).keys()] };
const ZERO = new Uint8Array(32);

function check(folder: string, key: string, stem: string, nonce: Uint8Array, selection = all): QuoteFacts {
  return verifyQuote({
    attest: readRecorded(`${folder}/${stem}.attest`),
    signature: readRecorded(`${folder}/${stem}.sig`),
    ak: parsePublic(readRecorded(`${folder}/${key}.tpmt_public`)),
    expected: { extraData: nonce, selection },
  });
}

function pcrsOf(folder: string): Map<number, Uint8Array> {
  const file: Record<string, string> = JSON.parse(readRecorded(`${folder}/pcrs-sha256.json`).toString());
  return new Map(Object.entries(file).map(([index, value]) => [Number(index), Buffer.from(value, 'hex')]));
}

/** PCR 10 before any and after each entry, given the template data of each; `undefined` is a violation. */
function pcr10(entries: readonly (Uint8Array | undefined)[]): Uint8Array[] {
  const values: Uint8Array[] = [ZERO];
  for (const entry of entries) {
    const extended = entry ? createHash('sha256').update(entry).digest() : Buffer.alloc(32, 0xff);
    values.push(
      createHash('sha256')
        .update(values.at(-1) ?? ZERO)
        .update(extended)
        .digest(),
    );
  }
  return values;
}

/** Template data of a binary list with SHA-1 template digests. */
function binaryEntries(name: string): (Uint8Array | undefined)[] {
  const data = readRecorded(name);
  const entries: (Uint8Array | undefined)[] = [];
  for (let at = 0; at < data.length; ) {
    const violation = data.subarray(at + 4, at + 24).every((octet) => octet === 0);
    const nameSize = data.readUInt32LE(at + 24);
    const size = data.readUInt32LE(at + 28 + nameSize);
    const start = at + 32 + nameSize;
    entries.push(violation ? undefined : data.subarray(start, start + size));
    at = start + size;
  }
  return entries;
}

/** Template data of a text list of ima-sig entries without signatures, held by the template digest in it. */
function textEntries(name: string): (Uint8Array | undefined)[] {
  const lines = readRecorded(name).toString().trimEnd().split('\n');
  return lines.map((line) => {
    const [, template = '', , file = '', path = ''] = line.split(' ');
    if (/^0+$/.test(template)) return undefined;
    const [hash = '', value = ''] = file.split(':');
    const fields = [
      Buffer.concat([Buffer.from(`${hash}:\0`), Buffer.from(value, 'hex')]),
      Buffer.from(`${path}\0`),
      Buffer.alloc(0),
    ];
    const data = Buffer.concat(fields.flatMap((field) => [Buffer.of(field.length, 0, 0, 0), field]));
    assert.equal(createHash('sha1').update(data).digest('hex'), template);
    return data;
  });
}

const keys = [
  ['vm', 'ak-ecc'],
  ['vm', 'ak-rsa'],
  ['swtpm', 'ak-ecc'],
  ['swtpm', 'ak-rsa'],
] as const;

test('public areas of a chip: bytes in, the same bytes out, and the same SubjectPublicKeyInfo', () => {
  for (const [folder, key] of keys) {
    const bytes = readRecorded(`${folder}/${key}.tpmt_public`);
    const parsed = parsePublic(bytes);
    assert.deepEqual(Buffer.from(serialisePublic(parsed)), bytes);
    assert.deepEqual(Buffer.from(spkiOf(plainKeyOf(parsed))), readRecorded(`${folder}/${key}.spki.der`));
    const name = Buffer.concat([Buffer.from('000b', 'hex'), createHash('sha256').update(bytes).digest()]);
    assert.deepEqual(Buffer.from(nameOf(parsed)), name);
  }
});

test('public areas of another tool: the Name recorded beside it', (t) => {
  if (!haveVectors(t)) return;
  const ak = parseSizedPublic(readVector('quote/keylime_ak.pub'));
  assert.deepEqual(Buffer.from(nameOf(ak)), readVector('quote/keylime_ak.name'));
  const ek = parseSizedPublic(readVector('quote/keylime_ek.pub'));
  assert.equal(checkEndorsementKey(ek).name, 'rsa2048-l1');
});

test("another tool's key file is the same key, and its credential has the shape of ours", (t) => {
  if (!haveVectors(t)) return;
  const ak = parseSizedPublic(readVector('quote/keylime_ak.pub'));
  const pem = createPublicKey(readVector('quote/keylime_akpub.pem')).export({ format: 'der', type: 'spki' });
  assert.deepEqual(Buffer.from(spkiOf(plainKeyOf(ak))), pem);
  const file = readerOf(readVector('quote/keylime_mkcred.out'), 'the file of a credential');
  assert.deepEqual([file.u32(), file.u32()], [0xbadcc0de, 1]);
  const theirs = { credentialBlob: file.sized(256), encryptedSecret: file.sized(512) };
  file.end();
  const ek = parseSizedPublic(readVector('quote/keylime_ek.pub'));
  const ours = makeCredential({ ek, akName: nameOf(ak), credential: new Uint8Array(15) });
  assert.equal(ours.encryptedSecret.length, theirs.encryptedSecret.length);
  const outer = readerOf(theirs.credentialBlob, 'TPMS_ID_OBJECT').sized(64);
  assert.equal(outer.length, readerOf(ours.credentialBlob, 'TPMS_ID_OBJECT').sized(64).length);
});

test('endorsement keys of a chip follow their templates', () => {
  const rsa = parsePublic(readRecorded('swtpm/ek-rsa-2048.tpmt_public'));
  assert.equal(checkEndorsementKey(rsa).name, 'rsa2048-l1');
  const ecc = parsePublic(readRecorded('swtpm/ek-ecc-p256.tpmt_public'));
  assert.equal(checkEndorsementKey(ecc).name, 'p256-l2');
  assert.match(ekHash(ecc), /^[0-9a-f]{64}$/);
});

test('attestation keys: the P-256 one is our template, the RSA one is not, an unrestricted one never', () => {
  assert.equal(checkAttestationKey(parsePublic(readRecorded('vm/ak-ecc.tpmt_public'))).curve, 'P-256');
  const rsa = parsePublic(readRecorded('vm/ak-rsa.tpmt_public'));
  throwsCode('ak_curve', /RSA-2048 key instead of P-256/, () => checkAttestationKey(rsa));
  const attack = parsePublic(readRecorded('swtpm/attack-unrestricted-key.tpmt_public'));
  throwsCode('ak_unrestricted', /not restricted/, () => checkAttestationKey(attack));
});

test('genuine quotes of a virtual machine: counters, firmware version, selection', () => {
  for (const key of ['ecc', 'rsa']) {
    for (const run of [1, 2, 3]) {
      const stem = `quote-${key}-${run}`;
      const facts = check('vm', `ak-${key}`, stem, readRecorded(`vm/${stem}.nonce`));
      assert.equal(facts.resetCount, 2);
      assert.equal(facts.restartCount, 0);
      assert.equal(facts.safe, true);
      assert.equal(facts.firmwareVersion, 0x2019102300163636n);
      assert.deepEqual(facts.selection, all);
    }
  }
});

test('genuine quotes of a virtual machine: PCR 10 is the recorded prefix of the IMA list', () => {
  const prefixes = {
    1: pcr10(binaryEntries('vm/ima_1.bin')),
    2: pcr10(binaryEntries('vm/ima_2.bin')),
    3: pcr10(textEntries('vm/ima_3.ascii')),
  };
  const rows = [
    ['ecc', 1, 1],
    ['rsa', 1, 1],
    ['ecc', 2, 127],
    ['rsa', 2, 128],
    ['ecc', 3, 138],
    ['rsa', 3, 139],
  ] as const;
  for (const [key, run, entries] of rows) {
    const stem = `quote-${key}-${run}`;
    const input = {
      attest: readRecorded(`vm/${stem}.attest`),
      signature: readRecorded(`vm/${stem}.sig`),
      ak: parsePublic(readRecorded(`vm/ak-${key}.tpmt_public`)),
    };
    const expected = { extraData: readRecorded(`vm/${stem}.nonce`), selection: all };
    const pcrValues = pcrsOf('vm');
    pcrValues.set(10, prefixes[run][entries] ?? ZERO);
    assert.equal(verifyQuote({ ...input, expected: { ...expected, pcrValues } }).resetCount, 2, stem);
    pcrValues.set(10, prefixes[run][entries - 1] ?? ZERO);
    const wrong = { ...input, expected: { ...expected, pcrValues } };
    throwsCode('quote_pcr_digest', /do not give the digest/, () => verifyQuote(wrong), stem);
  }
});

test('a quote after a power cycle verifies, and is a reboot with all PCRs at zero', () => {
  for (const key of ['ecc', 'rsa']) {
    const before = check('vm', `ak-${key}`, `quote-${key}-3`, readRecorded(`vm/quote-${key}-3.nonce`));
    const after = check('vm', `ak-${key}`, `quote-${key}-afterreboot`, Buffer.alloc(32, 7));
    assert.match(Buffer.from(after.pcrDigest).toString('hex'), /^076a27c7/);
    const { verdict, resets } = compareClocks(before, after);
    assert.deepEqual({ verdict, resets }, { verdict: 'rebooted', resets: 1 });
    assert.equal(compareClocks(after, before).verdict, 'cleared-or-cloned');
  }
});

test('genuine quotes of swtpm verify with the PCR values read at the time', () => {
  for (const key of ['ecc', 'rsa']) {
    const nonce = readRecorded(`swtpm/quote-${key}.nonce`);
    const quote = parseQuote(readRecorded(`swtpm/quote-${key}.attest`));
    const [selection] = quote.selections;
    assert.ok(selection);
    assert.equal(check('swtpm', `ak-${key}`, `quote-${key}`, nonce, selection).resetCount, quote.resetCount);
  }
});

test('attacks on swtpm: another PCR, another bank, a forged quote', () => {
  for (const key of ['ecc', 'rsa']) {
    const nonce = parseQuote(readRecorded(`swtpm/quote-${key}-pcr23only.attest`)).extraData;
    const attack = () => check('swtpm', `ak-${key}`, `quote-${key}-pcr23only`, nonce);
    throwsCode('quote_selection', /covers sha256:23 instead of sha256:0,1,2/, attack);
  }
  const nonce = readRecorded('swtpm/quote-ecc.nonce');
  const sha1 = parseQuote(readRecorded('swtpm/quote-ecc-sha1bank.attest')).extraData;
  throwsCode('quote_selection', /covers sha1:/, () => check('swtpm', 'ak-ecc', 'quote-ecc-sha1bank', sha1));
  const forged = 'attack-unrestricted-forged-quote';
  throwsCode('ak_unrestricted', /restricted/, () => check('swtpm', 'attack-unrestricted-key', forged, nonce));
  throwsCode('quote_signature', /not by the attestation key/, () => check('swtpm', 'ak-ecc', forged, nonce));
});

test('an attack with each property of the forged quote taken for granted still meets another check', () => {
  const forger = parsePublic(readRecorded('swtpm/attack-unrestricted-key.tpmt_public'));
  const restricted = { ...forger, attributes: forger.attributes | 0x10000 };
  const input = {
    attest: readRecorded('swtpm/attack-unrestricted-forged-quote.attest'),
    signature: readRecorded('swtpm/attack-unrestricted-forged-quote.sig'),
    ak: restricted,
    expected: { extraData: readRecorded('swtpm/quote-ecc.nonce'), selection: all },
  };
  throwsCode('quote_signer', /Name of this key/, () => verifyQuote(input));
});

test('an identity key certified by an attestation key, and another key in its place', () => {
  const stem = 'swtpm/identity-ecc.certify';
  const ak = parsePublic(readRecorded('swtpm/ak-ecc.tpmt_public'));
  const subject = parsePublic(readRecorded('swtpm/identity-ecc.tpmt_public'));
  const input = {
    attest: readRecorded(`${stem}.attest`),
    signature: readRecorded(`${stem}.sig`),
    ak,
    subject,
    extraData: readRecorded(`${stem}.nonce`),
  };
  assert.deepEqual(verifyCertify(input).name, nameOf(subject));
  throwsCode('certify_name', /not that of the key presented/, () => verifyCertify({ ...input, subject: ak }));
  const other = { ...input, extraData: new Uint8Array(32) };
  throwsCode('quote_nonce', /another challenge/, () => verifyCertify(other));
  const quote = readRecorded('swtpm/quote-ecc.attest');
  const signature = readRecorded('swtpm/quote-ecc.sig');
  throwsCode('quote_type', /0x8018 and is not a certification/, () =>
    verifyCertify({ ...input, attest: quote, signature }),
  );
});

test("another project's quote: every check passes but that of the hierarchy, for its key lies below the endorsement key", (t) => {
  if (!haveVectors(t)) return;
  const checks = explainQuote({
    attest: readVector('quote/keylime_quote.out'),
    signature: readVector('quote/keylime_quotesig.out'),
    ak: parseSizedPublic(readVector('quote/keylime_ak.pub')),
    expected: {
      extraData: Buffer.from('db1db298db6d60e6385b7231743e9c3056a18003', 'hex'),
      selection: { bank: 'sha256', pcrs: [15, 16, 22] },
    },
  });
  const failed = checks.filter(({ result }) => result === 'failed').map(({ check: name }) => name);
  assert.deepEqual(failed, ['signer']);
});

test('a text quote with the SHA-1 bank parses, and its selection is not what anybody asks for', (t) => {
  if (!haveVectors(t)) return;
  const [attest = '', signature = ''] = readVector('quote/rust_keylime_test-quote.txt')
    .toString()
    .slice(1)
    .split(':');
  const quote = parseQuote(Buffer.from(attest, 'base64'));
  assert.deepEqual(quote.selections, [{ bank: 'sha1', pcrs: [16] }]);
  assert.equal(Buffer.from(quote.extraData).toString(), 'TEST');
  const bytes = Buffer.from(signature, 'base64');
  assert.deepEqual(Buffer.from(serialiseSignature(parseSignature(bytes))), bytes);
});
