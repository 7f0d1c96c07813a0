import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { TouchmarkError } from '../../../src/errors.js';
import {
  blamesParameter,
  classify,
  isRefusal,
  TpmCallError,
  toTouchmarkError,
} from '../../../src/host/tpm/response-code.js';

describe('response codes', () => {
  test('what the chip asks to be repeated is repeated, whoever passes it on', () => {
    for (const code of [0x901, 0x902, 0x903, 0x908, 0x90a, 0x920, 0x922]) {
      assert.equal(classify(code), 'retry', code.toString(16));
      assert.equal(classify(0x000b0000 | code), 'retry', 'through the kernel');
    }
  });

  test('a lockout is not repeated', () => {
    assert.equal(classify(0x921), 'lockout');
    assert.equal(classify(0x000b0921), 'lockout');
  });

  test('failures of the way to the chip open it again', () => {
    for (const code of [0xa000a, 0xa0008, 0xa0001, 0x7000a, 0x70011, 0x70013, 0x80011, 0x90013]) {
      assert.equal(classify(code), 'device', code.toString(16));
    }
  });

  test('authorisation failures are told apart from other refusals', () => {
    for (const code of [0x98e, 0x9a2, 0x8e, 0x1a2]) assert.equal(classify(code), 'auth', code.toString(16));
    for (const code of [0x1df, 0x2d5, 0x101, 0x100, 0x18b, 0x7001b, 0x7000b]) {
      assert.equal(classify(code), 'refused', code.toString(16));
    }
  });

  test('only format-one codes with the parameter bit blame a parameter', () => {
    assert.ok(blamesParameter(0x1df));
    assert.ok(blamesParameter(0x2d5));
    for (const code of [0x98e, 0x101, 0x922, 0xa00df, 0x184])
      assert.ok(!blamesParameter(code), code.toString(16));
  });

  test('each becomes an error with its own remedy', () => {
    for (const [code, name, message] of [
      [0x921, 'tpm_lockout', /^the TPM is locked after too many failed authorisations$/],
      [0x98e, 'tpm_auth_failed', /^the TPM refused the authorisation for Esys_Quote$/],
      [0xa000a, 'tpm_unavailable', /^the TPM cannot be reached: Esys_Quote failed with 0xa000a/],
      [0x922, 'tpm_unavailable', /^the TPM stayed busy: Esys_Quote failed with 0x922/],
      [0x1df, 'tpm_command_failed', /^the TPM refused a command: Esys_Quote failed with 0x1df/],
    ] as const) {
      const error = toTouchmarkError(new TpmCallError('Esys_Quote', code));
      assert.ok(error instanceof TouchmarkError);
      assert.equal(error.code, name);
      assert.match(error.message, message);
      assert.ok(error.remedy.length > 20);
      assert.equal(isRefusal(error), name === 'tpm_auth_failed' || name === 'tpm_command_failed');
    }
    const other = new Error('other');
    assert.equal(toTouchmarkError(other), other);
  });
});
