import { TouchmarkError } from '../errors.js';
import type { AnchorSet, Assurance } from './anchors.js';
import { type Deviation, readTpmCertificate, type TpmCertificate } from './certificate.js';
import { schemeOf } from './certificate-signature.js';
import { checkCertificateKey, type EkCertificate, readEkCertificate } from './ek-certificate.js';
import { buildEkChain, type EkChain, MAX_SUPPLIED } from './ek-chain.js';
import type { TpmPublic } from './public.js';
import { isWeakRsa } from './weak-rsa.js';

/** What to do about a certificate in the chain that is out of its dates. The chip's key does not change when one expires. */
export type ExpiredPolicy = 'reject' | 'warn' | 'accept-if-enrolled-before';

export interface EkTrustInput {
  /** DER of the EK certificate. */
  certificate: Uint8Array;
  /** The endorsement key that is used from here on; `inspect` may not know it. */
  ek?: TpmPublic;
  /** DER from the chip's NV: intermediates only. */
  supplied: readonly Uint8Array[];
  anchors: AnchorSet;
  /** Unix milliseconds. */
  now: number;
  expired: ExpiredPolicy;
  /** Whether this key is on record from an earlier attestation. */
  enrolledBefore?: boolean;
}

/** Facts about a genuine endorsement key. */
export interface EkTrust extends EkCertificate {
  anchor: { name: string; vendor: string; fingerprint: string };
  assurance: Assurance;
  /** Fingerprints from the EK certificate upwards, the anchor's excluded. */
  path: string[];
}

/**
 * Verifies an EK certificate: profile, key, whether that is known to be weak, chain, dates.
 * Does NOT establish that a chip holds the key (credential activation) nor that the chip is one of ours (allow-list, approval or rule).
 */
export function verifyEkCertificate(input: EkTrustInput): EkTrust {
  const found = readEkCertificate(input.certificate);
  if (input.ek) checkCertificateKey(found, input.ek);
  checkStrength(found);
  const deviations = [...found.deviations];
  const supplied = readSupplied(input.supplied, deviations);
  const chain = buildEkChain(found.certificate, supplied, input.anchors);
  checkValidity(chain, input, deviations);
  noteSha1(chain, deviations);
  const { certificate, name, vendor, assurance } = chain.anchor;
  return {
    ...found,
    deviations,
    anchor: { name, vendor, fingerprint: certificate.fingerprint },
    assurance,
    path: chain.path.map(({ fingerprint }) => fingerprint),
  };
}

/** A genuine chip, and yet a key that others may hold too. */
function checkStrength({ key }: EkCertificate): void {
  if (!isWeakRsa(key)) return;
  const message =
    'the endorsement key is one of those that can be computed from their public half (CVE-2017-15361)';
  throw new TouchmarkError('ek_key_weak', message);
}

/** A chain certificate that cannot be read is left out: it may be one that is not needed. */
function readSupplied(supplied: readonly Uint8Array[], deviations: Deviation[]): TpmCertificate[] {
  if (supplied.length > MAX_SUPPLIED) {
    const message = `${supplied.length} chain certificates were supplied, at most ${MAX_SUPPLIED} are read`;
    throw new TouchmarkError('ek_chain_too_large', message);
  }
  return supplied.flatMap((der) => {
    try {
      return [readTpmCertificate(der)];
    } catch (error) {
      if (!(error instanceof TouchmarkError)) throw error;
      deviations.push({ code: 'chain_certificate_unreadable', message: error.message });
      return [];
    }
  });
}

function checkValidity({ anchor, path }: EkChain, input: EkTrustInput, deviations: Deviation[]): void {
  for (const certificate of [...path, anchor.certificate]) {
    const problem = outOfDates(certificate, input.now);
    if (!problem) continue;
    const tolerated =
      input.expired === 'warn' || (input.expired !== 'reject' && input.enrolledBefore === true);
    if (!tolerated || problem.code === 'not_yet_valid') {
      throw new TouchmarkError('ek_certificate_validity', problem.message);
    }
    deviations.push(problem);
  }
}

function outOfDates(certificate: TpmCertificate, now: number): Deviation | undefined {
  const { notBefore, notAfter, serial } = certificate;
  const day = (time: number): string => new Date(time).toISOString().slice(0, 10);
  if (now > notAfter) return { code: 'expired', message: `certificate ${serial} ended on ${day(notAfter)}` };
  if (now < notBefore)
    return { code: 'not_yet_valid', message: `certificate ${serial} begins on ${day(notBefore)}` };
  return undefined;
}

function noteSha1({ path }: EkChain, deviations: Deviation[]): void {
  if (path.every((certificate) => schemeOf(certificate).hash !== 'sha1')) return;
  deviations.push({ code: 'sha1_signature', message: 'a signature of the chain is made with SHA-1' });
}
