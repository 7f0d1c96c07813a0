import { elementAt, malformed } from './lenient-der.js';

const SEQUENCE = 0x30;
/** TPM 1.2's "stored certificate" header: tag 0x1001, type 0 (full certificate), 16-bit length. */
const STORED_CERTIFICATE = [0x10, 0x01, 0x00];
const STORED_HEADER_SIZE = 5;
const MAX_IN_INDEX = 16;

/**
 * The certificate in an NV index: DER alone, DER followed by padding, or behind the five-byte header of stored certificates.
 * @throws TouchmarkError `ek_certificate_invalid` when there is none
 */
export function certificateInNv(content: Uint8Array): Uint8Array {
  const der = withoutHeader(content);
  if (der[0] !== SEQUENCE) throw malformed('does not begin with a sequence');
  return elementAt(der, 0).raw.slice();
}

/** Chain indices may hold several certificates one after another, then padding. At most 16 are taken. */
export function certificatesInNv(content: Uint8Array): Uint8Array[] {
  const found: Uint8Array[] = [];
  let rest = withoutHeader(content);
  while (rest[0] === SEQUENCE && found.length < MAX_IN_INDEX) {
    const { raw } = elementAt(rest, 0);
    found.push(raw.slice());
    rest = rest.subarray(raw.length);
  }
  return found;
}

function withoutHeader(content: Uint8Array): Uint8Array {
  if (!STORED_CERTIFICATE.every((octet, at) => content[at] === octet)) return content;
  const length = ((content[3] ?? 0) << 8) | (content[4] ?? 0);
  return content.subarray(STORED_HEADER_SIZE, STORED_HEADER_SIZE + length);
}
