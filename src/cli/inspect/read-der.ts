import { readFile, stat } from 'node:fs/promises';
import { messageOf, TouchmarkError } from '../../errors.js';
import { splitDer } from '../../x509/der.js';
import { readPem } from '../../x509/pem.js';

const MAX_FILE = 4 * 1024 * 1024;

/** A whole file, bounded. @throws TouchmarkError `file_unreadable` */
export async function readInput(path: string, maxSize = MAX_FILE): Promise<Buffer> {
  try {
    // Files of securityfs say nothing of their size before they are read.
    const bytes = (await stat(path)).size <= maxSize ? await readFile(path) : undefined;
    if (bytes && bytes.length <= maxSize) return bytes;
  } catch (cause) {
    throw new TouchmarkError('file_unreadable', `cannot read ${path}: ${messageOf(cause)}`, { cause });
  }
  throw new TouchmarkError('file_unreadable', `${path} is larger than ${maxSize} bytes`);
}

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
