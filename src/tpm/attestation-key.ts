import { type ErrorCode, TouchmarkError } from '../errors.js';
import { attribute, attributeNames } from './attributes.js';
import type { EccPublic, TpmPublic } from './public.js';

const { fixedTpm, fixedParent, sensitiveDataOrigin, userWithAuth, noDa, restricted, sign, decrypt } =
  attribute;

/** fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, noDA, restricted, sign. */
export const AK_ATTRIBUTES =
  fixedTpm | fixedParent | sensitiveDataOrigin | userWithAuth | noDa | restricted | sign;

/**
 * Template of the attestation key: ECDSA P-256 with SHA-256, primary of the endorsement hierarchy.
 * @param unique 32 bytes (attestationKeyUnique): the chip makes the same key again from the same template.
 */
export function attestationKeyTemplate(unique: Uint8Array): EccPublic {
  return {
    type: 'ecc',
    nameAlg: 'sha256',
    attributes: AK_ATTRIBUTES,
    policy: new Uint8Array(),
    symmetric: null,
    scheme: { algorithm: 'ecdsa', hash: 'sha256' },
    curve: 'P-256',
    x: unique,
    y: new Uint8Array(32),
  };
}

interface AttributeRule {
  bit: number;
  wanted: boolean;
  code: ErrorCode;
  message: string;
}

/** What makes a signature by this key a statement of the chip: without any one of these the host can write quotes itself. */
const quotingRules: readonly AttributeRule[] = [
  {
    bit: restricted,
    wanted: true,
    code: 'ak_unrestricted',
    message: 'is not restricted, so it signs anything',
  },
  { bit: sign, wanted: true, code: 'ak_not_signing', message: 'is not a signing key' },
  { bit: decrypt, wanted: false, code: 'ak_decrypts', message: 'is also a decryption key' },
  {
    bit: fixedTpm,
    wanted: true,
    code: 'ak_not_fixed_tpm',
    message: 'may leave its chip (fixedTPM is clear)',
  },
  {
    bit: fixedParent,
    wanted: true,
    code: 'ak_not_fixed_parent',
    message: 'may move to another parent (fixedParent is clear)',
  },
  {
    bit: sensitiveDataOrigin,
    wanted: true,
    code: 'ak_imported',
    message: 'was not made by its chip (sensitiveDataOrigin is clear)',
  },
];

/** What our template adds. */
const templateRules: readonly AttributeRule[] = [
  {
    bit: userWithAuth,
    wanted: true,
    code: 'ak_no_user_auth',
    message: 'cannot be used with its authorisation value',
  },
  {
    bit: noDa,
    wanted: true,
    code: 'ak_lockout',
    message: 'is subject to dictionary-attack lockout (noDA is clear)',
  },
];

/**
 * Whether quotes by this key mean anything: restricted, signing only, made by its chip and bound to it. For keys of any algorithm.
 * Does NOT establish that the key lives in a chip at all: credential activation does.
 */
export function checkQuotingKey(key: TpmPublic): void {
  for (const rule of quotingRules) apply(rule, key);
}

/**
 * Whether this is our attestation key's template in everything but the point. One check, one error code.
 * Does NOT establish that the key lives in a chip (activation), in which hierarchy (the quote's qualified signer), or the point.
 */
export function checkAttestationKey(key: TpmPublic): EccPublic {
  checkQuotingKey(key);
  for (const rule of templateRules) apply(rule, key);
  const extra = (key.attributes & ~AK_ATTRIBUTES) >>> 0;
  if (extra !== 0)
    throw refused('ak_attributes_unexpected', `has unexpected attributes ${attributeNames(extra)}`);
  if (key.type !== 'ecc' || key.curve !== 'P-256') {
    const found = key.type === 'ecc' ? key.curve : `RSA-${key.bits}`;
    throw refused('ak_curve', `is a ${found} key instead of P-256`);
  }
  if (key.scheme?.algorithm !== 'ecdsa' || key.scheme.hash !== 'sha256') {
    const found = key.scheme ? `${key.scheme.algorithm} with ${key.scheme.hash}` : 'left to the signer';
    throw refused('ak_scheme', `has the scheme ${found} instead of ecdsa with sha256`);
  }
  if (key.symmetric) throw refused('ak_symmetric', 'has a symmetric scheme');
  if (key.nameAlg !== 'sha256')
    throw refused('ak_name_algorithm', `is named with ${key.nameAlg} instead of sha256`);
  if (key.policy.length > 0) throw refused('ak_policy', 'has an authorisation policy');
  return key;
}

function apply(rule: AttributeRule, key: TpmPublic): void {
  if (((key.attributes & rule.bit) !== 0) !== rule.wanted) throw refused(rule.code, rule.message);
}

function refused(code: ErrorCode, what: string): TouchmarkError {
  return new TouchmarkError(code, `the attestation key ${what}`);
}
