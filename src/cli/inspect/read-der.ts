import { splitDer } from '../../x509/der.js';
import { readPem } from '../../x509/pem.js';

export function isPem(bytes: Buffer): boolean {
  return bytes.includes('-----BEGIN ');
}

/** Certificates of a file, PEM or concatenated DER. */
export function certificatesOf(bytes: Buffer): Uint8Array[] {
  if (!isPem(bytes)) return splitDer(bytes);
  return readPem(bytes.toString('utf8'))
    .filter(({ label }) => label === 'CERTIFICATE')
    .map(({ der }) => der);
}
