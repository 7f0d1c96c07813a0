/** Reads back what was signed and compares every field with what was meant. Verifies no signature. */
import { TouchmarkError } from '../../errors.js';
import type { SpiffeId } from '../../spiffe/id.js';
import { checkIssuedSvid } from '../../spiffe/x509-svid.js';
import type { AuthorityTemplate, CertificateSigner, LeafTemplate } from '../../x509/certificate.js';
import { keyUsageBit } from '../../x509/extensions.js';
import { type Certificate, readCertificate } from '../../x509/read-certificate.js';

/** @throws TouchmarkError `issued_mismatch` */
export function checkLeaf(
  der: Uint8Array,
  { serial, notBefore, notAfter, spki, dnsNames }: LeafTemplate,
  id: SpiffeId,
  signer: CertificateSigner,
): Certificate {
  let read: Certificate;
  try {
    const issuer = { issuerDer: signer.subjectDer, issuerKeyId: signer.skid };
    read = checkIssuedSvid(der, { id, dnsNames, spki, notBefore, notAfter, ...issuer });
  } catch (cause) {
    throw mismatch('', cause);
  }
  if (read.serial !== hexOf(serial)) throw mismatch(' in its serial number');
  return read;
}

/** @throws TouchmarkError `issued_mismatch` */
export function checkAuthority(
  der: Uint8Array,
  meant: AuthorityTemplate,
  signer: CertificateSigner,
): Certificate {
  const read = readCertificate(der);
  const same: ReadonlyArray<readonly [what: string, equal: boolean]> = [
    ['serial number', read.serial === hexOf(meant.serial)],
    ['URI', read.uris.length === 1 && read.uris[0] === meant.uri],
    ['names', read.dnsNames.length === 0 && read.otherKinds.length === 0],
    ['public key', equal(read.spki, meant.spki)],
    ['begin', read.notBefore === meant.notBefore],
    ['end', read.notAfter === meant.notAfter],
    ['issuer', equal(read.issuerDer, signer.subjectDer)],
    ['issuer key', equal(read.authorityKeyId ?? new Uint8Array(), signer.skid)],
    ['subject', equal(read.subjectDer, meant.subject)],
    ['key usage', read.keyUsageCritical && read.keyUsage === (keyUsageBit.keyCertSign | keyUsageBit.crlSign)],
    ['basic constraints', read.authority && read.pathLength === meant.pathLength],
  ];
  for (const [what, isSame] of same) if (!isSame) throw mismatch(` in its ${what}`);
  return read;
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

/** As certificates are read: without leading zero octets. */
function hexOf(serial: Uint8Array): string {
  const start = serial.findIndex((byte) => byte !== 0);
  return Buffer.from(serial.subarray(start)).toString('hex');
}

function mismatch(where: string, cause?: unknown): TouchmarkError {
  return new TouchmarkError('issued_mismatch', `the issued certificate is not what was asked for${where}`, {
    cause,
  });
}
