import { TouchmarkError } from '../errors.js';

export interface PemBlock {
  /** What stands between BEGIN and the dashes: `CERTIFICATE`, `PRIVATE KEY`. */
  readonly label: string;
  readonly der: Uint8Array;
}

const MAX_PEM_CHARACTERS = 8 * 1024 * 1024;
const BLOCK = /^-----BEGIN ([A-Z0-9 ]{1,64})-----\n([A-Za-z0-9+/=\n]*)-----END \1-----$/;

/**
 * Reads a PEM file (RFC 7468): whole blocks, padded base64, and between them only blank lines and lines that begin with `#`.
 * @throws TouchmarkError `pem_invalid`
 */
export function readPem(file: string): PemBlock[] {
  if (file.length > MAX_PEM_CHARACTERS) throw invalid(`it is longer than ${MAX_PEM_CHARACTERS} characters`);
  const blocks: PemBlock[] = [];
  let open: string[] | undefined;
  for (const [index, raw] of file.split('\n').entries()) {
    const line = raw.trimEnd();
    if (open === undefined && (line === '' || line.startsWith('#'))) continue;
    if (open === undefined && !line.startsWith('-----BEGIN '))
      throw invalid(`line ${index + 1} is outside a block`);
    open ??= [];
    open.push(line);
    if (!line.startsWith('-----END ')) continue;
    blocks.push(readBlock(open.join('\n'), index + 1));
    open = undefined;
  }
  if (open !== undefined) throw invalid('its last block does not end');
  return blocks;
}

/** All certificates of a PEM file that holds nothing else and at least one. */
export function readPemCertificates(file: string): Uint8Array[] {
  const blocks = readPem(file);
  if (blocks.length === 0) throw invalid('it holds no certificate');
  return blocks.map(({ label, der }) => {
    if (label !== 'CERTIFICATE') throw invalid(`it holds a block "${label}" where certificates belong`);
    return der;
  });
}

export function writePem(label: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

export function writePemCertificates(certificates: readonly Uint8Array[]): string {
  return certificates.map((der) => writePem('CERTIFICATE', der)).join('');
}

function readBlock(block: string, line: number): PemBlock {
  const [, label, body] = BLOCK.exec(block) ?? [];
  if (label === undefined || body === undefined)
    throw invalid(`the block that ends in line ${line} is damaged`);
  const base64 = body.replaceAll('\n', '');
  const der = Buffer.from(base64, 'base64');
  if (der.length === 0 || der.toString('base64') !== base64) {
    throw invalid(`the block that ends in line ${line} is not padded base64`);
  }
  return { label, der };
}

/** The content is never quoted: it may be a private key. */
function invalid(why: string): TouchmarkError {
  return new TouchmarkError('pem_invalid', `the PEM text is not valid: ${why}`);
}
