import type { Finding } from '../finding.js';

/** WIN_CERTIFICATE without its content. */
export interface PeCertificate {
  /** Bytes with the header of 8. */
  readonly size: number;
  readonly revision: number;
  /** 2: PKCS #7 SignedData, which Authenticode uses. */
  readonly type: number;
}

const HEADER = 8;
/** More than any image has; each is a signature that a firmware would have to look at. */
const MAX_CERTIFICATES = 64;

/** Lists the table of attached certificates. Malformed ones end the list with a finding: no hash depends on them. */
export function readCertificates(
  bytes: Buffer,
  table: { readonly start: number; readonly end: number } | undefined,
): { certificates: PeCertificate[]; findings: Finding[] } {
  const certificates: PeCertificate[] = [];
  const findings: Finding[] = [];
  for (let at = table?.start ?? 0, end = table?.end ?? 0; at < end; ) {
    const size = end - at < HEADER ? 0 : bytes.readUInt32LE(at);
    if (size < HEADER || size > end - at || certificates.length === MAX_CERTIFICATES) {
      const message = `the table of certificates cannot be read from its byte ${at - (table?.start ?? 0)} on`;
      findings.push({ code: 'pe_certificate_malformed', event: null, message });
      break;
    }
    certificates.push({ size, revision: bytes.readUInt16LE(at + 4), type: bytes.readUInt16LE(at + 6) });
    at += Math.ceil(size / 8) * 8;
  }
  return { certificates, findings };
}
