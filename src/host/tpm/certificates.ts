import { enter, expect, readBits, readElement, reader, readIf, tag } from '../../x509/der.js';

/** TCG "stored full certificate": 0x1001, type 0, 16-bit length. */
const STORED_CERTIFICATE = [0x10, 0x01, 0x00];
const MAX_CERTIFICATES = 16;

/**
 * The certificates in an NV index: DER, perhaps several in a row, perhaps below the TCG's header, perhaps followed by padding.
 * Only the outermost length is read: what vendors put inside is for the server to judge.
 */
export function certificatesIn(content: Uint8Array): Uint8Array[] {
  const wrapped = STORED_CERTIFICATE.every((byte, at) => content[at] === byte);
  let rest = wrapped ? content.subarray(5) : content;
  const found: Uint8Array[] = [];
  while (found.length < MAX_CERTIFICATES) {
    const size = certificateSize(rest);
    if (size === 0 || size > rest.length) break;
    found.push(new Uint8Array(rest.subarray(0, size)));
    rest = rest.subarray(size);
  }
  return found;
}

/** Of a SEQUENCE with a length of two octets, as every certificate is; 0 for anything else, such as padding. */
function certificateSize(bytes: Uint8Array): number {
  const [first, form, high = 0, low = 0] = bytes;
  return first === tag.sequence && form === 0x82 ? 4 + high * 256 + low : 0;
}

/**
 * Whether a certificate is about this key: the octets of both subjectPublicKeys are the same, whatever the algorithm is called
 * (old chips say id-RSAES-OAEP). Establishes nothing else about the certificate.
 * @param spki SubjectPublicKeyInfo of the key
 */
export function isAbout(certificate: Uint8Array, spki: Uint8Array): boolean {
  try {
    return Buffer.from(keyBits(reader(spkiOfCertificate(certificate)))).equals(keyBits(reader(spki)));
  } catch {
    return false;
  }
}

function spkiOfCertificate(certificate: Uint8Array): Uint8Array {
  const body = enter(
    enter(reader(certificate), tag.sequence, 'the certificate'),
    tag.sequence,
    'the certificate body',
  );
  readIf(body, tag.constructed(0));
  for (const _ of ['serial', 'signature', 'issuer', 'validity', 'subject']) readElement(body);
  return expect(body, tag.sequence, 'the public key').raw;
}

function keyBits(spki: ReturnType<typeof reader>): Uint8Array {
  const inner = enter(spki, tag.sequence, 'the public key');
  readElement(inner);
  return readBits(inner, 'the public key');
}
