import { createHash } from 'node:crypto';

const u32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
export const field = (bytes: Buffer) => Buffer.concat([u32(bytes.length), bytes]);
export const sha = (name: string, bytes: Uint8Array) => createHash(name).update(bytes).digest();
/** `sha256:` NUL digest. */
export const digestField = (label: string, digest: Buffer) =>
  Buffer.concat([Buffer.from(`${label}\0`), digest]);
export const nameField = (name: string | Buffer) => Buffer.concat([Buffer.from(name), Buffer.of(0)]);

export function record(
  template: string,
  data: Buffer,
  options: { pcr?: number; digest?: Buffer } = {},
): Buffer {
  const digest = options.digest ?? sha('sha1', data);
  return Buffer.concat([u32(options.pcr ?? 10), digest, field(Buffer.from(template)), field(data)]);
}

/** Data of an `ima-sig` entry. */
export function sigData(path: string | Buffer, content = String(path), signature = Buffer.alloc(0)): Buffer {
  const digest = digestField('sha256:', sha('sha256', Buffer.from(content)));
  return Buffer.concat([field(digest), field(nameField(path)), field(signature)]);
}

/** A list as a kernel writes it: boot_aggregate, then files. */
export function imaList(entries: number): Buffer {
  return Buffer.concat(
    Array.from({ length: entries }, (_, n) =>
      record('ima-sig', sigData(n === 0 ? 'boot_aggregate' : `/usr/lib/package-${n % 97}/file-${n}.so`)),
    ),
  );
}
