import { memory, type NativeLibrary, openLibrary } from './library.js';

/** structure, bytes, how many, where to write */
const marshalShape = ['pointer', 'pointer', 'size', 'pointer'] as const;
/** bytes, how many, where to read, structure */
const unmarshalShape = ['pointer', 'size', 'pointer', 'pointer'] as const;

/** Bytes that hold the C structure of each type (sizeof on 64-bit Linux, rounded up generously). */
const structureSizes = {
  TPM2B_DATA: 256,
  TPM2B_DIGEST: 256,
  TPM2B_ATTEST: 4096,
  TPM2B_ENCRYPTED_SECRET: 2048,
  TPM2B_ID_OBJECT: 1024,
  TPM2B_MAX_NV_BUFFER: 4096,
  TPM2B_NV_PUBLIC: 512,
  TPM2B_PUBLIC: 4096,
  TPM2B_SENSITIVE_CREATE: 2048,
  TPML_DIGEST: 2048,
  TPML_PCR_SELECTION: 512,
  TPMS_CAPABILITY_DATA: 8192,
  TPMS_CONTEXT: 16384,
  TPMT_SIGNATURE: 4096,
  TPMT_SIG_SCHEME: 256,
  TPMT_SYM_DEF: 256,
} as const;

export type MuType = keyof typeof structureSizes;
type MuSignatures = Readonly<Record<`Tss2_MU_${MuType}_Marshal`, typeof marshalShape>> &
  Readonly<Record<`Tss2_MU_${MuType}_Unmarshal`, typeof unmarshalShape>>;

let loaded: NativeLibrary<MuSignatures> | undefined;

function loadMu(): NativeLibrary<MuSignatures> {
  loaded ??= openLibrary('libtss2-mu.so.0', 'uint32_t', muSignatures(), 'libtss2-mu0');
  return loaded;
}

function muSignatures(): MuSignatures {
  const both = Object.keys(structureSizes).flatMap((type) => [
    [`Tss2_MU_${type}_Marshal`, marshalShape],
    [`Tss2_MU_${type}_Unmarshal`, unmarshalShape],
  ]);
  return Object.fromEntries(both) as MuSignatures;
}

/**
 * From the C structure at an address to the bytes that the TPM specification defines. No layout is known here and no
 * size is believed: MU refuses to write past the buffer, which is as large as the type can be.
 * @throws Error when MU refuses
 */
export function marshal(type: MuType, structure: bigint | Buffer): Uint8Array {
  const bytes = memory(structureSizes[type]);
  const offset = memory(8);
  const code = loadMu().now(`Tss2_MU_${type}_Marshal`, structure, bytes, bytes.length, offset);
  if (code !== 0) throw new Error(`a ${type} of the TPM library cannot be read (0x${code.toString(16)})`);
  return new Uint8Array(bytes.subarray(0, Math.min(Number(offset.readBigUInt64LE(0)), bytes.length)));
}

/**
 * From specified bytes to a C structure, for C to read while the returned Buffer is alive.
 * @throws Error when the bytes are not exactly one such structure
 */
export function unmarshal(type: MuType, bytes: Uint8Array): Buffer {
  const structure = memory(structureSizes[type]);
  const offset = memory(8);
  const input = memory(bytes.length);
  input.set(bytes);
  const code = loadMu().now(`Tss2_MU_${type}_Unmarshal`, input, bytes.length, offset, structure);
  if (code !== 0) throw new Error(`these bytes are not a ${type} (0x${code.toString(16)})`);
  if (Number(offset.readBigUInt64LE(0)) !== bytes.length) throw new Error(`bytes follow after a ${type}`);
  return structure;
}
