import { memory, type NativeLibrary, openLibrary } from './library.js';

const signatures = { ioctl: ['i32', 'long', 'pointer'] } as const;
let loaded: NativeLibrary<typeof signatures> | undefined;

/** _IOWR('f', 134, struct fsverity_digest), linux/fsverity.h */
const FS_IOC_MEASURE_VERITY = 0xc0046686;
const MAX_DIGEST = 64;
/** FS_VERITY_HASH_ALG_SHA256 and _SHA512. */
const algorithms = new Map([
  [1, 'sha256'],
  [2, 'sha512'],
]);

export interface VerityDigest {
  readonly algorithm: string;
  readonly digest: Uint8Array;
}

/**
 * The fs-verity digest of an open file: of its Merkle tree and description, not of its bytes. The kernel checks every page
 * against it as it is read. Undefined for a file without fs-verity, and where there is no such thing.
 */
export async function measureVerity(fd: number): Promise<VerityDigest | undefined> {
  loaded ??= openLibrary('libc.so.6', 'int', signatures, 'libc6');
  const argument = memory(4 + MAX_DIGEST);
  argument.writeUInt16LE(MAX_DIGEST, 2);
  if ((await loaded.later('ioctl', fd, FS_IOC_MEASURE_VERITY, argument)) !== 0) return undefined;
  const algorithm = algorithms.get(argument.readUInt16LE(0));
  const size = argument.readUInt16LE(2);
  if (algorithm === undefined || size > MAX_DIGEST) return undefined;
  return { algorithm, digest: Uint8Array.from(argument.subarray(4, 4 + size)) };
}
