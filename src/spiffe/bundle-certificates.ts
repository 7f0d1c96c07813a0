import { messageOf, TouchmarkError } from '../errors.js';
import { splitDer } from '../x509/der.js';
import { readPemCertificates, writePemCertificates } from '../x509/pem.js';
import { readCertificate } from '../x509/read-certificate.js';
import type { Bundle, X509Authority } from './bundle.js';
import type { TrustDomain } from './id.js';

/** The X.509 authorities one after the other, as the Workload API sends them; empty when there is none. */
export function bundleToDer(bundle: Bundle): Buffer {
  return Buffer.concat(bundle.x509Authorities.map(({ der }) => der));
}

export function bundleToPem(bundle: Bundle): string {
  return writePemCertificates(bundle.x509Authorities.map(({ der }) => der));
}

/** Reads concatenated DER with nothing left over; every part must be a certificate. @throws TouchmarkError `bundle_invalid` */
export function bundleFromDer(trustDomain: TrustDomain, der: Uint8Array): Bundle {
  return fromCertificates(trustDomain, () => splitDer(der));
}

/** @throws TouchmarkError `bundle_invalid` */
export function bundleFromPem(trustDomain: TrustDomain, pem: string): Bundle {
  return fromCertificates(trustDomain, () => readPemCertificates(pem));
}

function fromCertificates(trustDomain: TrustDomain, read: () => readonly Uint8Array[]): Bundle {
  let x509Authorities: X509Authority[];
  try {
    x509Authorities = read().map((der) => ({ der: readCertificate(der).der, tainted: false }));
  } catch (cause) {
    throw new TouchmarkError('bundle_invalid', `the authorities cannot be read: ${messageOf(cause)}`, {
      cause,
    });
  }
  return { trustDomain, x509Authorities, jwtAuthorities: [], refreshHint: 0, sequence: 0n };
}
