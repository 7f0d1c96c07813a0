import { constants, type KeyObject, timingSafeEqual, verify } from 'node:crypto';
import { TouchmarkError } from '../errors.js';
import { curveByName } from './algorithms.js';
import { primaryQualifiedName } from './name.js';
import { ascending, describeSelection, type PcrSelection, type PcrValues, pcrDigest } from './pcr.js';
import type { SigningScheme, TpmPublic } from './public.js';
import { ieeeP1363, type TpmSignature } from './signature.js';
import { keyObjectOf, plainKeyOf } from './spki.js';

/** The scheme that is fixed in the key. A signature never chooses its own algorithm. */
export function checkSignatureScheme(signature: TpmSignature, ak: TpmPublic): SigningScheme {
  const { scheme } = ak;
  const fits = (signature.algorithm === 'ecdsa') === (ak.type === 'ecc');
  if (fits && scheme?.algorithm === signature.algorithm && scheme.hash === signature.hash) return scheme;
  const fixed = scheme ? `${scheme.algorithm} with ${scheme.hash}` : 'no scheme';
  const message = `the quote is signed by ${signature.algorithm} with ${signature.hash}, but the key has ${fixed}`;
  throw new TouchmarkError('quote_signature_scheme', message);
}

/** Whether the key signed exactly these bytes. Does NOT establish what the bytes are or where the key lives. */
export function checkSignature(attest: Uint8Array, signature: TpmSignature, ak: TpmPublic): void {
  if (isSignedBy(attest, signature, ak)) return;
  throw new TouchmarkError(
    'quote_signature',
    'the signature of the quote is not by the attestation key over these bytes',
  );
}

/** What is made of a key once: a host's key verifies a quote with every tick, and importing it costs as much as that. */
interface Prepared {
  readonly object: KeyObject;
  readonly qualifiedName: Uint8Array;
}

const prepared = new WeakMap<TpmPublic, Prepared>();

function preparedOf(ak: TpmPublic): Prepared {
  const known = prepared.get(ak) ?? {
    object: keyObjectOf(plainKeyOf(ak)),
    qualifiedName: primaryQualifiedName(ak),
  };
  prepared.set(ak, known);
  return known;
}

function isSignedBy(attest: Uint8Array, signature: TpmSignature, ak: TpmPublic): boolean {
  const key = preparedOf(ak).object;
  if (signature.algorithm === 'ecdsa') {
    const raw = ieeeP1363(signature, ak.type === 'ecc' ? curveByName(ak.curve).size : 0);
    return verify(signature.hash, attest, { key, dsaEncoding: 'ieee-p1363' }, raw);
  }
  const { RSA_PKCS1_PADDING, RSA_PKCS1_PSS_PADDING, RSA_PSS_SALTLEN_AUTO } = constants;
  const pss = { padding: RSA_PKCS1_PSS_PADDING, saltLength: RSA_PSS_SALTLEN_AUTO };
  const padding = signature.algorithm === 'rsapss' ? pss : { padding: RSA_PKCS1_PADDING };
  try {
    return verify(signature.hash, attest, { key, ...padding }, signature.value);
  } catch {
    return false; // OpenSSL throws for a modulus that no chip makes, such as one shorter than the digest
  }
}

/** Constant-time: the extraData must be the hash that we computed. */
export function checkExtraData(found: Uint8Array, expected: Uint8Array): void {
  if (sameBytes(found, expected)) return;
  const message = 'the quote answers another challenge, another connection or another request';
  throw new TouchmarkError('quote_nonce', message);
}

/** Proves that the signing key is a primary of the endorsement hierarchy: the chip, not the host, fills this field. */
export function checkQualifiedSigner(found: Uint8Array, ak: TpmPublic): void {
  if (sameBytes(found, preparedOf(ak).qualifiedName)) return;
  const message =
    'the quote was not signed by a primary key of the endorsement hierarchy with the Name of this key';
  throw new TouchmarkError('quote_signer', message);
}

/** Exactly the bank and set that were asked for: a TPM silently clears the bits of banks that are not allocated. */
export function checkSelection(found: readonly PcrSelection[], expected: PcrSelection): PcrSelection {
  const [only] = found;
  const wanted = ascending(expected.pcrs);
  const same = wanted.length === only?.pcrs.length && wanted.every((pcr, at) => pcr === only.pcrs[at]);
  if (same && found.length === 1 && only.bank === expected.bank) return only;
  const asked = describeSelection([{ bank: expected.bank, pcrs: wanted }]);
  const message = `the quote covers ${describeSelection(found)} instead of ${asked}`;
  throw new TouchmarkError('quote_selection', message);
}

/** Whether these values are those that the chip held. `values` must be derived by us (replay), or be worth no more than this check. */
export function checkPcrDigest(
  found: Uint8Array,
  scheme: SigningScheme,
  selection: PcrSelection,
  values: PcrValues,
): void {
  if (sameBytes(found, pcrDigest(scheme.hash, selection, values))) return;
  const message = `the values of ${describeSelection([selection])} do not give the digest in the quote`;
  throw new TouchmarkError('quote_pcr_digest', message);
}

/** Constant-time for equal lengths; lengths are no secret. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
