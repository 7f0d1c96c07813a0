import assert from 'node:assert/strict';
import test from 'node:test';
import { createChip } from '../../../src/agent/measure/chip.js';
import { TouchmarkError } from '../../../src/errors.js';
import type { TpmDevice } from '../../../src/host/tpm.js';
import { silentLogger } from '../../../src/log.js';
import { unique } from './support.js';

/** A chip that only counts how often it is opened and closed. */
function counted() {
  const counts = { opened: 0, closed: 0 };
  const chip = createChip({
    unique,
    log: silentLogger(),
    async open() {
      const number = ++counts.opened;
      const device = {
        number,
        async [Symbol.asyncDispose]() {
          counts.closed += 1;
          throw new Error('a chip that does not even close');
        },
      };
      return device as unknown as TpmDevice;
    },
  });
  return { chip, counts };
}

const numberOf = async (tpm: TpmDevice) => (tpm as unknown as { number: number }).number;
const failing = (code: ConstructorParameters<typeof TouchmarkError>[0]) => () =>
  Promise.reject(new TouchmarkError(code, 'it says so'));

test('one conversation serves everybody, opened when it is first needed', async () => {
  const { chip, counts } = counted();
  assert.equal(counts.opened, 0);
  assert.deepEqual(await Promise.all([chip.use(numberOf), chip.use(numberOf)]), [1, 1]);
  await chip[Symbol.asyncDispose]();
  assert.deepEqual(counts, { opened: 1, closed: 1 });
});

test('a chip that failed is opened anew, one that only refused is not', async () => {
  const { chip, counts } = counted();
  await assert.rejects(chip.use(failing('tpm_credential_refused')), { code: 'tpm_credential_refused' });
  await assert.rejects(chip.use(failing('node_attestation_failed')), { message: 'it says so' });
  assert.equal(await chip.use(numberOf), 1);
  await assert.rejects(chip.use(failing('tpm_timeout')), { code: 'tpm_timeout' });
  assert.equal(await chip.use(numberOf), 2);
  assert.deepEqual(counts, { opened: 2, closed: 1 });
});

test('work under which another one closed the chip is done again, once', async () => {
  const { chip, counts } = counted();
  let turn = 0;
  let release = () => {};
  const slow = chip.use(async (tpm) => {
    turn += 1;
    if (turn === 1) {
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      throw new TouchmarkError('tpm_unavailable', 'it was closed by this process');
    }
    return numberOf(tpm);
  });
  await assert.rejects(chip.use(failing('tpm_unavailable')), { code: 'tpm_unavailable' });
  release();
  assert.equal(await slow, 2);
  assert.deepEqual([turn, counts.opened, counts.closed], [2, 2, 1]);
});

test('a chip that does not open is tried again the next time, whatever the reason was', async () => {
  let tries = 0;
  const reasons = ['tpm_device_missing', 'native_library_missing', 'node_secret_missing'] as const;
  const chip = createChip({
    unique,
    log: silentLogger(),
    async open() {
      tries += 1;
      throw new TouchmarkError(reasons[tries - 1] ?? assert.fail(), 'it does not open');
    },
  });
  for (const code of reasons) {
    await assert.rejects(chip.use(numberOf), { code, message: 'it does not open' });
    assert.equal(reasons[tries - 1], code);
  }
});
