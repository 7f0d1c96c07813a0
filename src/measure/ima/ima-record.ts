import { TouchmarkError } from '../../errors.js';
import { type HashName, hashByName } from '../../tpm/algorithms.js';
import { PCR_COUNT } from '../../tpm/pcr.js';

/**
 * One line of the kernel's list, as far as replaying needs it. The bytes are views of the input: copy what is to
 * outlive it.
 */
export interface ImaRecord {
  /** Place in the list, from 1. */
  readonly event: number;
  readonly pcr: number;
  /** Name of the template, or its format where it has no name (`d-ng|n-ng`). No digest covers it. */
  readonly template: string;
  /** As the list says it, in the bank of the list: SHA-1 but in the kernel's `..._sha256` files and the like. */
  readonly templateDigest: Uint8Array;
  /** What the kernel hashes to get the template digest of any bank. */
  readonly data: Uint8Array;
  /** The kernel extended all 0xff instead of a digest: nothing vouches for `data`. */
  readonly violation: boolean;
}

/** Takes a list in pieces of any size; every record comes out once, when its last byte is there. */
export interface ImaReader {
  push(chunk: Uint8Array): Iterable<ImaRecord>;
  /** Says that nothing follows. @throws TouchmarkError `ima_list_truncated` in the middle of a record */
  end(): void;
}

export interface ImaReaderOptions {
  /** Bank of the template digests that the list shows. */
  readonly listDigest?: HashName;
  /** Records that came before this piece of the list. */
  readonly before?: number;
}

/** Longest template name or format, and most template data, that is read at all. */
export const MAX_TEMPLATE_NAME = 255;
export const MAX_TEMPLATE_DATA = 1024 * 1024;
/** The legacy template hashes 20 bytes of digest and the name in a field of 256. */
export const LEGACY_TEMPLATE = 'ima';
export const LEGACY_DIGEST = 20;
export const LEGACY_NAME = 256;

export function listDigestSize(options: ImaReaderOptions): number {
  return hashByName(options.listDigest ?? 'sha1').size;
}

/** What the legacy template hashes. */
export function legacyData(digest: Uint8Array, name: Uint8Array): Uint8Array {
  const data = new Uint8Array(LEGACY_DIGEST + LEGACY_NAME);
  data.set(digest);
  data.set(name, LEGACY_DIGEST);
  return data;
}

export function isZero(bytes: Uint8Array): boolean {
  for (const byte of bytes) if (byte !== 0) return false;
  return true;
}

/** Bounds what the list says of a record. @throws TouchmarkError `ima_list_invalid` */
export function checkedPcr(pcr: number, where: string): number {
  if (pcr < PCR_COUNT) return pcr;
  throw new TouchmarkError('ima_list_invalid', `${where} of the IMA list names PCR ${pcr}, which no TPM has`);
}

/** Names that were checked: a list has one or two. */
const checked = new Set<string>();
const MAX_CHECKED = 64;

/** @throws TouchmarkError `ima_list_invalid` */
export function checkedTemplate(name: string, where: string): string {
  if (checked.has(name)) return name;
  if (name.length <= MAX_TEMPLATE_NAME && /^[a-z0-9|_-]+$/i.test(name)) {
    if (checked.size < MAX_CHECKED) checked.add(name);
    return name;
  }
  const shown = JSON.stringify(name.slice(0, 40));
  throw new TouchmarkError('ima_list_invalid', `${where} of the IMA list has the template name ${shown}`);
}

/** @throws TouchmarkError `ima_list_too_large` */
export function checkedSize(size: number, max: number, what: string): number {
  if (size <= max) return size;
  throw new TouchmarkError('ima_list_too_large', `${what} is said to have ${size} bytes, at most ${max}`);
}
