import assert from 'node:assert/strict';
import { createHash, createPublicKey, verify, X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { openTpm } from '../../src/host/open-tpm.js';
import type { TpmDevice } from '../../src/host/tpm.js';
import { silentLogger } from '../../src/log.js';
import { parseQuote } from '../../src/tpm/attest.js';
import { AK_ATTRIBUTES } from '../../src/tpm/attestation-key.js';
import { attribute } from '../../src/tpm/attributes.js';
import { ekTemplatePublic, ekTemplates } from '../../src/tpm/ek-templates.js';
import { pcrDigest } from '../../src/tpm/pcr.js';
import { parsePublic, serialisePublic } from '../../src/tpm/public.js';
import { ieeeP1363, parseSignature } from '../../src/tpm/signature.js';
import { plainKeyOf, spkiOf } from '../../src/tpm/spki.js';
import { haveSwtpm, startCopy, startDistinct, type TestSwtpm } from '../support/swtpm.js';
import { haveTpm2Tools, tpm2 } from '../support/tpm2-tools.js';

const log = silentLogger();
const unique = createHash('sha256').update('unique of this test').digest();
const NV_ATTRIBUTES = 'ownerwrite|ownerread|authread|no_da';
const nothingLoaded = { transient: 0, loadedSessions: 0, savedSessions: 0, persistent: 2 };

async function opened(chip: TestSwtpm): Promise<TpmDevice> {
  return openTpm({ tcti: chip.tcti, log });
}

const keyOf = (spki: Uint8Array) =>
  createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' }).export({ format: 'jwk' });

describe('a chip through tpm2-tss', () => {
  test('describes itself', async (t) => {
    if (!(await haveSwtpm(t))) return;
    await using chip = await startCopy();
    await using tpm = await opened(chip);
    const facts = await tpm.describe();
    assert.equal(facts.manufacturer, 'IBM');
    assert.equal(facts.vendorString, 'SW   TPM');
    assert.match(facts.firmwareVersion, /^[0-9a-f]{16}$/);
    assert.equal(facts.family, '2.0');
    assert.equal(facts.revision, 164);
    assert.equal(facts.lockoutCounter, 0);
    assert.equal(facts.nvBufferMax, 1024);
    const all = Array.from({ length: 24 }, (_, at) => at);
    assert.deepEqual(facts.banks, [
      { bank: 'sha1', pcrs: all },
      { bank: 'sha256', pcrs: all },
    ]);
    assert.deepEqual(facts.loadedHandles, nothingLoaded);
  });

  test('shows the endorsement keys that its certificates are about, and no platform certificate', async (t) => {
    if (!(await haveSwtpm(t))) return;
    await using chip = await startCopy();
    await using tpm = await opened(chip);
    const keys = await tpm.endorsementKeys();
    assert.deepEqual(
      keys.map(({ template }) => template),
      ['rsa2048-l1', 'p384-h3'],
    );
    const issuer = new X509Certificate(chip.issuerPem);
    for (const { public: area, certificate } of keys) {
      assert.ok(certificate);
      const parsed = new X509Certificate(Buffer.from(certificate));
      assert.ok(parsed.verify(issuer.publicKey));
      assert.deepEqual(
        parsed.publicKey.export({ format: 'jwk' }),
        keyOf(spkiOf(plainKeyOf(parsePublic(area)))),
      );
    }
    assert.deepEqual(await tpm.chainCertificates(), []);
    assert.deepEqual((await tpm.describe()).loadedHandles, nothingLoaded);
  });

  test('shows an endorsement key without certificate where there is none', async (t) => {
    if (!(await haveSwtpm(t))) return;
    await using chip = await startDistinct({ certificates: false });
    await using tpm = await opened(chip);
    const [key, ...others] = await tpm.endorsementKeys();
    assert.equal(key?.template, 'rsa2048-l1');
    assert.equal(key?.certificate, undefined);
    assert.equal(parsePublic(key?.public ?? new Uint8Array()).attributes, 0x000300b2);
    assert.deepEqual(others, []);
  });

  test('has the same keys as its clone and others than a distinct chip', async (t) => {
    if (!(await haveSwtpm(t))) return;
    await using chip = await startCopy();
    await using clone = await startCopy();
    await using other = await startDistinct();
    await using one = await opened(chip);
    await using two = await opened(clone);
    await using three = await opened(other);
    const [first, second, third] = await Promise.all([one, two, three].map((tpm) => tpm.endorsementKeys()));
    assert.deepEqual(first, second);
    assert.equal(third?.length, 2);
    assert.notDeepEqual(first?.[0]?.public, third?.[0]?.public);
    assert.deepEqual(await one.attestationKey(unique), await two.attestationKey(unique));
    assert.notDeepEqual(await one.attestationKey(unique), await three.attestationKey(unique));
  });

  test('makes the attestation key again from its unique value alone', async (t) => {
    if (!(await haveSwtpm(t))) return;
    await using chip = await startCopy();
    const areas: Uint8Array[] = [];
    for (let round = 0; round < 2; round += 1) {
      await using tpm = await opened(chip);
      areas.push(await tpm.attestationKey(unique));
      areas.push(await tpm.attestationKey(unique));
    }
    const [first] = areas;
    assert.ok(first);
    for (const area of areas) assert.deepEqual(area, first);
    const key = parsePublic(first);
    assert.equal(key.attributes, AK_ATTRIBUTES);
    assert.equal(key.attributes, 0x00050472);
    assert.deepEqual(key.scheme, { algorithm: 'ecdsa', hash: 'sha256' });
    await using tpm = await opened(chip);
    assert.notDeepEqual(await tpm.attestationKey(Buffer.alloc(32)), first);
  });

  test('quotes exactly what was asked for, signed by the attestation key', async (t) => {
    if (!(await haveSwtpm(t))) return;
    await using chip = await startCopy();
    await using tpm = await opened(chip);
    const selection = { bank: 'sha256', pcrs: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 23] } as const;
    const nonce = createHash('sha256').update('nonce').digest();
    const { attest, signature } = await tpm.quote(unique, nonce, selection);
    const quoted = parseQuote(attest);
    assert.deepEqual(Buffer.from(quoted.extraData), nonce);
    assert.deepEqual(quoted.selections, [selection]);
    const values = await tpm.pcrRead(selection);
    assert.equal(values.size, 14);
    assert.deepEqual(Buffer.from(quoted.pcrDigest), Buffer.from(pcrDigest('sha256', selection, values)));
    const key = parsePublic(await tpm.attestationKey(unique));
    const parsed = parseSignature(signature);
    assert.ok(parsed.algorithm === 'ecdsa');
    const publicKey = createPublicKey({
      key: Buffer.from(spkiOf(plainKeyOf(key))),
      format: 'der',
      type: 'spki',
    });
    const raw = Buffer.from(ieeeP1363(parsed, 32));
    assert.ok(verify('sha256', attest, { key: publicKey, dsaEncoding: 'ieee-p1363' }, raw));
  });

  test('reads PCRs, and none of a bank that is not allocated', async (t) => {
    if (!(await haveSwtpm(t)) || !haveTpm2Tools(t)) return;
    await using chip = await startCopy();
    await using tpm = await opened(chip);
    const measured = createHash('sha256').update('kernel').digest();
    tpm2(chip.tcti, 'pcrextend', `9:sha256=${measured.toString('hex')}`);
    const values = await tpm.pcrRead({ bank: 'sha256', pcrs: [23, 9, 0] });
    assert.deepEqual([...values.keys()].sort(), [0, 23, 9]);
    const extended = createHash('sha256').update(Buffer.alloc(32)).update(measured).digest();
    assert.deepEqual(Buffer.from(values.get(9) ?? []), extended);
    assert.equal((await tpm.pcrRead({ bank: 'sha1', pcrs: [0] })).get(0)?.length, 20);
    assert.equal((await tpm.pcrRead({ bank: 'sha512', pcrs: [0, 1] })).size, 0);
  });

  test('gives the chain certificates one by one', async (t) => {
    if (!(await haveSwtpm(t)) || !haveTpm2Tools(t)) return;
    await using chip = await startCopy();
    const [root, issuer] = [chip.rootPem, chip.issuerPem].map((pem) => new X509Certificate(pem).raw);
    assert.ok(root && issuer);
    writeNv(chip, 0x01c00101, root);
    writeNv(chip, 0x01c00100, Buffer.concat([issuer, Buffer.alloc(40, 0xff)]));
    await using tpm = await opened(chip);
    const chain = await tpm.chainCertificates();
    assert.deepEqual(chain.map(Buffer.from), [issuer, root]);
    assert.equal((await tpm.endorsementKeys()).length, 2);
  });

  test('an index of the chain that was never written keeps nothing from being shown', async (t) => {
    if (!(await haveSwtpm(t)) || !haveTpm2Tools(t)) return;
    await using chip = await startCopy();
    const issuer = new X509Certificate(chip.issuerPem).raw;
    tpm2(chip.tcti, 'nvdefine', '0x1c00100', '-C', 'o', '-s', '800', '-a', NV_ATTRIBUTES);
    writeNv(chip, 0x01c00101, issuer);
    await using tpm = await opened(chip);
    assert.deepEqual((await tpm.chainCertificates()).map(Buffer.from), [issuer]);
    assert.deepEqual((await tpm.describe()).loadedHandles, nothingLoaded);
  });

  test('a template in NV that is none, or whose key the chip does not make, hides that key alone', async (t) => {
    if (!(await haveSwtpm(t)) || !haveTpm2Tools(t)) return;
    const unrestricted = ekTemplates.find(({ name }) => name === 'p256-h2');
    assert.ok(unrestricted);
    const area = ekTemplatePublic(unrestricted);
    for (const template of [
      Buffer.from('no template'),
      // A restricted key that both signs and decrypts: no chip makes one.
      Buffer.from(serialisePublic({ ...area, attributes: area.attributes | attribute.sign })),
    ]) {
      await using chip = await startCopy();
      writeNv(chip, 0x01c00014, new X509Certificate(chip.issuerPem).raw);
      writeNv(chip, 0x01c00015, template);
      await using tpm = await opened(chip);
      const names = (await tpm.endorsementKeys()).map((key) => key.template);
      assert.deepEqual(names, ['rsa2048-l1', 'p384-h3']);
    }
  });

  test('honours the nonce in NV, and leaves out a certificate that is then about another key', async (t) => {
    if (!(await haveSwtpm(t)) || !haveTpm2Tools(t)) return;
    await using chip = await startCopy();
    writeNv(chip, 0x01c00003, Buffer.alloc(64, 7));
    await using tpm = await opened(chip);
    const keys = await tpm.endorsementKeys();
    assert.deepEqual(
      keys.map(({ template }) => template),
      ['p384-h3'],
    );
  });

  test('refuses arguments that are not what they should be', async (t) => {
    if (!(await haveSwtpm(t))) return;
    await using chip = await startCopy();
    await using tpm = await opened(chip);
    const selection = { bank: 'sha256', pcrs: [0] } as const;
    await assert.rejects(tpm.attestationKey(Buffer.alloc(31)), {
      code: 'tpm_argument_invalid',
      message: 'unique has 31 bytes instead of 32',
    });
    await assert.rejects(tpm.quote(unique, Buffer.alloc(35), selection), {
      code: 'tpm_argument_invalid',
      message: 'qualifying data has 35 bytes, at most 34',
    });
    await assert.rejects(tpm.quote(unique, Buffer.alloc(32), { bank: 'sha256', pcrs: [24] }), {
      code: 'pcr_selection_invalid',
      message: 'PCR 24 does not exist, there are 0 to 23',
    });
    await assert.rejects(tpm.pcrRead({ bank: 'sha256', pcrs: [] }), {
      code: 'tpm_argument_invalid',
      message: 'no PCR is selected',
    });
  });
});

function writeNv(chip: TestSwtpm, index: number, content: Buffer): void {
  const file = join(chip.directory, `nv-${index}`);
  writeFileSync(file, content);
  const name = `0x${index.toString(16)}`;
  tpm2(chip.tcti, 'nvdefine', name, '-C', 'o', '-s', String(content.length), '-a', NV_ATTRIBUTES);
  tpm2(chip.tcti, 'nvwrite', name, '-C', 'o', '-i', file);
}
