import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ErrorCode } from '../../src/errors.js';
import {
  AK_ATTRIBUTES,
  attestationKeyTemplate,
  checkAttestationKey,
  checkQuotingKey,
} from '../../src/tpm/attestation-key.js';
import { attribute } from '../../src/tpm/attributes.js';
import type { EccPublic, TpmPublic } from '../../src/tpm/public.js';
import { throwsCode } from '../support/rejects.js';

const good = attestationKeyTemplate(new Uint8Array(32));
const bits = (change: (all: number) => number): Partial<EccPublic> => ({ attributes: change(AK_ATTRIBUTES) });

test('the template passes, and its attributes are those on record', () => {
  assert.equal(checkAttestationKey(good), good);
  assert.equal(AK_ATTRIBUTES, 0x00050472);
});

const rows: [change: Partial<EccPublic>, code: ErrorCode, message: RegExp][] = [
  [bits((all) => all & ~attribute.restricted), 'ak_unrestricted', /not restricted, so it signs anything/],
  [bits((all) => all & ~attribute.sign), 'ak_not_signing', /not a signing key/],
  [bits((all) => all | attribute.decrypt), 'ak_decrypts', /also a decryption key/],
  [bits((all) => all & ~attribute.fixedTpm), 'ak_not_fixed_tpm', /fixedTPM is clear/],
  [bits((all) => all & ~attribute.fixedParent), 'ak_not_fixed_parent', /fixedParent is clear/],
  [bits((all) => all & ~attribute.sensitiveDataOrigin), 'ak_imported', /not made by its chip/],
  [bits((all) => all & ~attribute.userWithAuth), 'ak_no_user_auth', /authorisation value/],
  [bits((all) => all & ~attribute.noDa), 'ak_lockout', /noDA is clear/],
  [
    bits((all) => all | attribute.adminWithPolicy),
    'ak_attributes_unexpected',
    /unexpected attributes adminWithPolicy/,
  ],
  [bits((all) => all | attribute.encryptedDuplication), 'ak_attributes_unexpected', /encryptedDuplication/],
  [bits((all) => all | 0x80000000), 'ak_attributes_unexpected', /0x80000000/],
  [{ curve: 'P-384' }, 'ak_curve', /P-384 key instead of P-256/],
  [{ scheme: null }, 'ak_scheme', /left to the signer instead of ecdsa with sha256/],
  [{ scheme: { algorithm: 'ecdsa', hash: 'sha1' } }, 'ak_scheme', /ecdsa with sha1 instead/],
  [{ scheme: { algorithm: 'rsassa', hash: 'sha256' } }, 'ak_scheme', /rsassa with sha256 instead/],
  [{ symmetric: { algorithm: 'aes', bits: 128, mode: 'cfb' } }, 'ak_symmetric', /symmetric scheme/],
  [{ nameAlg: 'sha384' }, 'ak_name_algorithm', /sha384 instead of sha256/],
  [{ policy: new Uint8Array(32) }, 'ak_policy', /authorisation policy/],
];

test('every property of the template has its own refusal', () => {
  for (const [change, code, message] of rows) {
    throwsCode(code, message, () => checkAttestationKey({ ...good, ...change }), JSON.stringify(change));
  }
});

test('an RSA key is none of ours, but may quote', () => {
  const { nameAlg, attributes, policy, symmetric } = good;
  const scheme = { algorithm: 'rsassa', hash: 'sha256' } as const;
  const rsa: TpmPublic = {
    ...{ nameAlg, attributes, policy, symmetric, scheme },
    type: 'rsa',
    bits: 2048,
    exponent: 0,
    modulus: new Uint8Array(256),
  };
  checkQuotingKey(rsa);
  throwsCode('ak_curve', /RSA-2048 key instead of P-256/, () => checkAttestationKey(rsa));
});
