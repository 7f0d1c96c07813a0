import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { openTpm } from '../../src/host/open-tpm.js';
import { silentLogger } from '../../src/log.js';
import { makeCredential } from '../../src/tpm/make-credential.js';
import { nameOf } from '../../src/tpm/name.js';
import { parsePublic } from '../../src/tpm/public.js';
import { haveSwtpm, startCopy, startDistinct } from '../support/swtpm.js';
import { haveTpm2Tools, tpm2 } from '../support/tpm2-tools.js';

const log = silentLogger();
const unique = createHash('sha256').update('unique of this test').digest();
const otherUnique = createHash('sha256').update('another').digest();
const nothingLoaded = { transient: 0, loadedSessions: 0, savedSessions: 0, persistent: 2 };
const refused = {
  code: 'tpm_credential_refused',
  message: 'the TPM refused the credential: it was made for another endorsement or attestation key',
} as const;

function credentialFor(ek: Uint8Array, ak: Uint8Array, credential: Uint8Array) {
  return makeCredential({ ek: parsePublic(ek), akName: nameOf(parsePublic(ak)), credential });
}

describe('credential activation', () => {
  test('gives the credential back with every endorsement key', async (t) => {
    if (!(await haveSwtpm(t))) return;
    await using chip = await startCopy();
    await using tpm = await openTpm({ tcti: chip.tcti, log });
    const ak = await tpm.attestationKey(unique);
    const keys = await tpm.endorsementKeys();
    assert.equal(keys.length, 2);
    for (const { template, public: ek } of keys) {
      for (const size of [1, 20, 32]) {
        const credential = randomBytes(size);
        const made = credentialFor(ek, ak, credential);
        const given = await tpm.activateCredential(
          template,
          unique,
          made.credentialBlob,
          made.encryptedSecret,
        );
        assert.deepEqual(Buffer.from(given), credential);
      }
    }
    assert.deepEqual((await tpm.describe()).loadedHandles, nothingLoaded);
  });

  test('activates without having been asked for its keys first, and on a chip without certificates', async (t) => {
    if (!(await haveSwtpm(t))) return;
    await using chip = await startDistinct({ certificates: false });
    await using first = await openTpm({ tcti: chip.tcti, log });
    const [key] = await first.endorsementKeys();
    assert.ok(key);
    const made = credentialFor(key.public, await first.attestationKey(unique), Buffer.alloc(32, 5));
    await first[Symbol.asyncDispose]();
    await using second = await openTpm({ tcti: chip.tcti, log });
    const given = await second.activateCredential(
      'rsa2048-l1',
      unique,
      made.credentialBlob,
      made.encryptedSecret,
    );
    assert.deepEqual(Buffer.from(given), Buffer.alloc(32, 5));
  });

  test('refuses a credential for another attestation key, another chip or another kind of endorsement key', async (t) => {
    if (!(await haveSwtpm(t))) return;
    await using chip = await startCopy();
    await using foreign = await startDistinct();
    await using tpm = await openTpm({ tcti: chip.tcti, log });
    await using foreignTpm = await openTpm({ tcti: foreign.tcti, log });
    const ak = await tpm.attestationKey(unique);
    const otherAk = await tpm.attestationKey(otherUnique);
    const foreignKeys = await foreignTpm.endorsementKeys();
    const keys = await tpm.endorsementKeys();
    for (const [at, { template, public: ek }] of keys.entries()) {
      const other = keys[1 - at];
      const foreignEk = foreignKeys[at];
      assert.ok(other && foreignEk);
      const cases = [
        credentialFor(ek, otherAk, Buffer.alloc(32)),
        credentialFor(foreignEk.public, ak, Buffer.alloc(32)),
        credentialFor(other.public, ak, Buffer.alloc(32)),
      ];
      for (const made of cases) {
        const activation = tpm.activateCredential(
          template,
          unique,
          made.credentialBlob,
          made.encryptedSecret,
        );
        await assert.rejects(activation, refused);
      }
    }
    assert.deepEqual((await tpm.describe()).loadedHandles, nothingLoaded);
  });

  test('refuses bytes that are no credential, of any size, and leaves nothing behind', async (t) => {
    if (!(await haveSwtpm(t))) return;
    await using chip = await startCopy();
    await using tpm = await openTpm({ tcti: chip.tcti, log });
    for (const [blob, secret] of [
      [0, 0],
      [1, 1],
      [70, 256],
      [2000, 256],
      [70, 5000],
      [60_000, 60_000],
    ] as const) {
      const activation = tpm.activateCredential('rsa2048-l1', unique, randomBytes(blob), randomBytes(secret));
      await assert.rejects(activation, { code: 'tpm_credential_refused' });
    }
    const ak = await tpm.attestationKey(unique);
    const [key] = await tpm.endorsementKeys();
    assert.ok(key);
    const made = credentialFor(key.public, ak, Buffer.alloc(32));
    for (let round = 0; round < 20; round += 1) {
      const blob = Buffer.from(made.credentialBlob);
      const at = round % blob.length;
      blob[at] = (blob[at] ?? 0) ^ 0x10;
      const activation = tpm.activateCredential('rsa2048-l1', unique, blob, made.encryptedSecret);
      await assert.rejects(activation, { code: 'tpm_credential_refused' });
    }
    assert.deepEqual((await tpm.describe()).loadedHandles, nothingLoaded);
    assert.equal((await tpm.describe()).lockoutCounter, 0);
  });

  test('names the keys that a chip has when it is asked for another', async (t) => {
    if (!(await haveSwtpm(t))) return;
    await using chip = await startCopy();
    await using tpm = await openTpm({ tcti: chip.tcti, log });
    await assert.rejects(tpm.activateCredential('p256-l2', unique, Buffer.alloc(70), Buffer.alloc(256)), {
      code: 'tpm_key_unavailable',
      message: 'the TPM has no p256-l2 endorsement key, it has rsa2048-l1, p384-h3',
    });
  });

  test('works under an endorsement authorisation, and says when it is missing', async (t) => {
    if (!(await haveSwtpm(t)) || !haveTpm2Tools(t)) return;
    await using chip = await startCopy();
    tpm2(chip.tcti, 'changeauth', '-c', 'endorsement', 'correct horse');
    await using without = await openTpm({ tcti: chip.tcti, log });
    await assert.rejects(without.attestationKey(unique), {
      code: 'tpm_auth_failed',
      message: 'the TPM refused the authorisation for Esys_CreatePrimary',
    });
    assert.deepEqual((await without.describe()).loadedHandles, nothingLoaded);
    await without[Symbol.asyncDispose]();

    const endorsementAuth = Buffer.from('correct horse');
    await using tpm = await openTpm({ tcti: chip.tcti, log, endorsementAuth });
    const ak = await tpm.attestationKey(unique);
    for (const { template, public: ek } of await tpm.endorsementKeys()) {
      const made = credentialFor(ek, ak, Buffer.alloc(32, 8));
      const given = await tpm.activateCredential(template, unique, made.credentialBlob, made.encryptedSecret);
      assert.deepEqual(Buffer.from(given), Buffer.alloc(32, 8));
    }
    assert.deepEqual((await tpm.describe()).loadedHandles, nothingLoaded);
  });
});
