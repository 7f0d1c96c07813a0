/** The same bytes, for what only a Buffer can do; a further view of each digest of a long list would cost as much as looking it up. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
