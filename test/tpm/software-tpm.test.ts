import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeCredential } from '../../src/tpm/make-credential.js';
import { nameOf } from '../../src/tpm/name.js';
import { parsePublic } from '../../src/tpm/public.js';
import { verifyQuote } from '../../src/tpm/quote.js';
import { createEkAuthority } from '../fakes/ek-authority.js';
import { createSoftwareTpm } from '../fakes/software-tpm.js';
import { throwsCode } from '../support/rejects.js';

// The fake is believed by many tests: what a chip must do is held here.

const unique = new Uint8Array(32).fill(1);
const selection = { bank: 'sha256', pcrs: [0] } as const;

test('one `unique` gives one attestation key, another gives another', async () => {
  const chip = createSoftwareTpm();
  const first = await chip.attestationKey(unique);
  assert.deepEqual(await chip.attestationKey(unique), first);
  assert.notDeepEqual(await chip.attestationKey(new Uint8Array(32)), first);
});

test('counters move as those of a chip: quote, reboot, clear', async () => {
  const chip = createSoftwareTpm({ clock: { resetCount: 4, restartCount: 3 } });
  const ak = parsePublic(await chip.attestationKey(unique));
  const read = async () => {
    const quote = await chip.quote(unique, unique, selection);
    return verifyQuote({ ...quote, ak, expected: { extraData: unique, selection } });
  };
  const [first, second] = [await read(), await read()];
  assert.ok(second.clock > first.clock);
  chip.extend('sha256', 0, new Uint8Array(32));
  assert.notDeepEqual((await read()).pcrDigest, first.pcrDigest);
  chip.reboot();
  const rebooted = await read();
  assert.deepEqual([rebooted.resetCount, rebooted.restartCount], [5, 0]);
  assert.deepEqual(rebooted.pcrDigest, first.pcrDigest);
  chip.clear();
  assert.deepEqual([(await read()).resetCount, (await chip.attestationKey(unique)).length], [0, 88]);
});

test('endorsement keys are shown with certificates when an authority is there', async () => {
  const bare = await createSoftwareTpm().endorsementKeys();
  assert.equal(bare[0]?.certificate, undefined);
  const chip = createSoftwareTpm({ authority: createEkAuthority(), templates: ['p256-l2', 'p384-h3'] });
  const keys = await chip.endorsementKeys();
  assert.deepEqual(
    keys.map(({ template }) => template),
    ['p256-l2', 'p384-h3'],
  );
  assert.ok(keys.every(({ certificate }) => certificate));
  throws(() => chip.ek('rsa2048-l1'), /no endorsement key rsa2048-l1/);
});

test('a credential is given to the key it was made for, and to no other', async () => {
  const chip = createSoftwareTpm();
  const { public: ek } = chip.ek('p256-l2');
  const made = makeCredential({ ek, akName: nameOf(chip.ak(unique).public), credential: unique });
  const { credentialBlob, encryptedSecret } = made;
  assert.deepEqual(await chip.activateCredential('p256-l2', unique, credentialBlob, encryptedSecret), unique);
  const other = chip.activateCredential('p256-l2', new Uint8Array(32), credentialBlob, encryptedSecret);
  const error: unknown = await other.catch((reason: unknown) => reason);
  throwsCode('tpm_credential_refused', /another key/, () => {
    throw error;
  });
});

test('a bank that is not allocated gives no values and an empty selection', async () => {
  const chip = createSoftwareTpm({ banks: ['sha384'] });
  assert.equal((await chip.pcrRead(selection)).size, 0);
  assert.equal((await chip.pcrRead({ bank: 'sha384', pcrs: [0, 1] })).size, 2);
  assert.deepEqual(
    (await chip.describe()).banks.map(({ bank }) => bank),
    ['sha384'],
  );
  throws(() => chip.extend('sha256', 0, unique), /no PCR 0 in bank sha256/);
});

function throws(task: () => unknown, message: RegExp): void {
  assert.throws(task, message);
}
