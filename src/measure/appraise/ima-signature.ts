import { constants, type KeyObject, publicDecrypt, verify } from 'node:crypto';
import { asBuffer } from '../as-buffer.js';
import type { ImaFileDigest } from '../ima/ima-template.js';
import { verifyEcdsaDigest } from './ecdsa-prehashed.js';

/** The kernel's numbers of hash algorithms; weaker ones sign nothing here. */
const algorithms: ReadonlyMap<number, string> = new Map([
  [4, 'sha256'],
  [5, 'sha384'],
  [6, 'sha512'],
]);
/** DER in front of a digest in a signature of PKCS #1 v1.5. */
const digestInfo: Readonly<Record<string, string>> = {
  sha256: '3031300d060960864801650304020105000420',
  sha384: '3041300d060960864801650304020205000430',
  sha512: '3051300d060960864801650304020305000440',
};
const HEADER = 9;

/** `security.ima`: type, version, hash algorithm, key identifier, size (big-endian), signature. */
interface SecurityIma {
  readonly type: number;
  readonly version: number;
  readonly algorithm: string;
  readonly keyId: string;
  readonly signature: Uint8Array;
}

/**
 * Whether a file's digest is signed by one of the signers: version 2 over the digest of the bytes, version 3 over that of
 * an fs-verity tree. Does not establish that the kernel would have refused the file without.
 * @param byKeyId keys with this identifier, 8 hex digits; it proves nothing
 */
export function isSignedFile(
  file: ImaFileDigest,
  bytes: Uint8Array,
  byKeyId: (keyId: string) => readonly KeyObject[],
): boolean {
  const read = readSecurityIma(bytes);
  if (!read || read.algorithm !== file.algorithm) return false;
  const overTree = read.type === 6 && read.version === 3 && file.of === 'verity';
  const overBytes = read.type === 3 && read.version === 2 && file.of === 'file';
  if (!overTree && !overBytes) return false;
  const check = overBytes ? verifiesDigest : verifiesTree;
  return byKeyId(read.keyId).some((key) => tried(() => check(key, file, read)));
}

function readSecurityIma(from: Uint8Array): SecurityIma | undefined {
  const bytes = asBuffer(from);
  if (bytes.length <= HEADER || bytes.readUInt16BE(7) !== bytes.length - HEADER) return undefined;
  const algorithm = algorithms.get(bytes[2] ?? 0);
  if (algorithm === undefined) return undefined;
  return {
    type: bytes[0] ?? 0,
    version: bytes[1] ?? 0,
    algorithm,
    keyId: bytes.toString('hex', 3, 7),
    signature: bytes.subarray(HEADER),
  };
}

function verifiesDigest(key: KeyObject, file: ImaFileDigest, { signature }: SecurityIma): boolean {
  if (key.asymmetricKeyType === 'ec') return verifyEcdsaDigest(key, file.digest, signature);
  if (key.asymmetricKeyType !== 'rsa') return false;
  const signed = publicDecrypt({ key, padding: constants.RSA_PKCS1_PADDING }, signature);
  const prefix = Buffer.from(digestInfo[file.algorithm] ?? '', 'hex');
  return signed.equals(Buffer.concat([prefix, file.digest]));
}

/** The kernel's `ima_file_id`: what is signed says that it is a tree, and of which hash. */
function verifiesTree(key: KeyObject, file: ImaFileDigest, read: SecurityIma): boolean {
  const number = [...algorithms].find(([, name]) => name === read.algorithm)?.[0] ?? 0;
  return verify(read.algorithm, Buffer.concat([Buffer.of(6, number), file.digest]), key, read.signature);
}

/** OpenSSL and the DER reader throw for what is no signature at all. */
function tried(check: () => boolean): boolean {
  try {
    return check();
  } catch {
    return false;
  }
}
