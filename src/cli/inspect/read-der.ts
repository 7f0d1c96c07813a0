import { open } from 'node:fs/promises';
import { messageOf, TouchmarkError } from '../../errors.js';
import { readBounded } from '../../host/atomic-file.js';
import { splitDer } from '../../x509/der.js';
import { readPem } from '../../x509/pem.js';

const MAX_FILE = 4 * 1024 * 1024;

/** A whole file or what comes out of a pipe, bounded. @throws TouchmarkError `file_unreadable` */
export async function readInput(path: string, maxSize = MAX_FILE): Promise<Buffer> {
  try {
    const file = await open(path, 'r');
    try {
      return await readBounded(file, path, maxSize, (await file.stat()).size);
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw new TouchmarkError('file_unreadable', `cannot read ${path}: ${messageOf(cause)}`, { cause });
  }
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
