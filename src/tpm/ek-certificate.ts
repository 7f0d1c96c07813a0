import { type ErrorCode, TouchmarkError } from '../errors.js';
import { type Deviation, readTpmCertificate, type TpmCertificate } from './certificate.js';
import {
  basicConstraintsOf,
  checkCritical,
  extendedKeyUsageOf,
  extensionOid,
  keyUsageOf,
  tcgUsage,
  usageBit,
} from './certificate-extensions.js';
import { type ChipIdentity, readChipIdentity } from './ek-identity.js';
import type { TpmPublic } from './public.js';
import { sameBytes } from './quote-checks.js';
import { describeKey, type PlainKey, plainKeyOf, spkiOf } from './spki.js';

/** What an EK certificate says, once it is known to be one. Not yet: whether anybody trusted says so. */
export interface EkCertificate extends ChipIdentity {
  certificate: TpmCertificate;
  /** Lower-case hex SHA-256 of the SubjectPublicKeyInfo in its one encoding: equals ekHash() of the same key's TPMT_PUBLIC. */
  spkiHash: string;
  key: PlainKey;
  /** Unix milliseconds. */
  notAfter: number;
  /** Every departure from the EK Credential Profile and from DER that was let pass. */
  deviations: Deviation[];
}

/** Extensions whose meaning is checked or harmless, so that they may be critical. */
const understood = [
  extensionOid.subjectAltName,
  extensionOid.basicConstraints,
  extensionOid.keyUsage,
  extensionOid.extendedKeyUsage,
  extensionOid.certificatePolicies,
  extensionOid.subjectDirectoryAttributes,
  extensionOid.authorityKeyId,
  extensionOid.subjectKeyId,
];

/**
 * Reads an endorsement-key certificate (TCG EK Credential Profile 2.5) as leniently as real chips need: see `deviations`.
 * Does NOT establish who issued it (verifyEkChain) nor that a chip holds the key (credential activation).
 */
export function readEkCertificate(der: Uint8Array): EkCertificate {
  const certificate = readTpmCertificate(der);
  const deviations = [...certificate.deviations];
  checkCritical(certificate, understood);
  checkExtendedUsage(certificate);
  checkNoAuthority(certificate, deviations);
  checkKeyUsage(certificate, deviations);
  const identity = readChipIdentity(certificate, deviations);
  const { spkiHash, key, notAfter } = certificate;
  return { certificate, spkiHash, key, notAfter, ...identity, deviations };
}

/**
 * Whether the certificate is for the very key that is used from here on (MakeCredential, node ID).
 * @throws TouchmarkError `ek_certificate_other_key`
 */
export function checkCertificateKey({ certificate }: EkCertificate, ek: TpmPublic): void {
  const claimed = plainKeyOf(ek);
  if (sameBytes(spkiOf(certificate.key), spkiOf(claimed))) return;
  const message = `the ${describeKey(certificate.key)} key in the certificate is not the ${describeKey(claimed)} endorsement key`;
  throw new TouchmarkError('ek_certificate_other_key', message);
}

/** Absent, or containing tcg-kp-EKCertificate. */
function checkExtendedUsage(certificate: TpmCertificate): void {
  const usages = extendedKeyUsageOf(certificate);
  if (!usages || usages.includes(tcgUsage.endorsementKey)) return;
  if (usages.includes(tcgUsage.platform)) {
    throw refused('ek_certificate_platform', 'is a platform certificate, not one of an endorsement key');
  }
  throw refused('ek_certificate_usage', `is for ${usages.join(', ')}, not for an endorsement key`);
}

function checkNoAuthority(certificate: TpmCertificate, deviations: Deviation[]): void {
  const constraints = basicConstraintsOf(certificate);
  if (constraints?.authority) throw refused('ek_certificate_usage', 'is one of a certificate authority');
  if (!constraints)
    deviations.push({ code: 'basic_constraints_missing', message: 'there are no basic constraints' });
}

/** keyEncipherment for RSA, keyAgreement for ECC; the other of the two is let pass, since some vendors mix them up. */
function checkKeyUsage(certificate: TpmCertificate, deviations: Deviation[]): void {
  const usage = keyUsageOf(certificate);
  if (usage === undefined) {
    deviations.push({ code: 'key_usage_missing', message: 'there is no key usage' });
    return;
  }
  const { keyEncipherment, keyAgreement, keyCertSign } = usageBit;
  if ((usage & (keyEncipherment | keyAgreement)) === 0 || (usage & keyCertSign) !== 0) {
    throw refused('ek_certificate_usage', 'has a key usage that does not fit an endorsement key');
  }
  const fitting = certificate.key.type === 'rsa' ? keyEncipherment : keyAgreement;
  if ((usage & fitting) === 0) {
    const message = `the key usage does not fit a ${describeKey(certificate.key)} key`;
    deviations.push({ code: 'key_usage_of_other_algorithm', message });
  }
}

function refused(code: ErrorCode, what: string): TouchmarkError {
  return new TouchmarkError(code, `the certificate ${what}`);
}
