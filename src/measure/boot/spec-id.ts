import { TouchmarkError } from '../../errors.js';
import { hashById, hex16 } from '../../tpm/algorithms.js';
import { logReader } from '../little-endian.js';

/** One digest algorithm that a log declares for all of its events. */
export interface LogAlgorithm {
  /** TPM_ALG_ID. */
  readonly id: number;
  /** Digest size in bytes. */
  readonly size: number;
  /** The bank's name, `sha256`; an algorithm that we cannot compute is `0x0012`. */
  readonly bank: string;
}

/** TCG_EfiSpecIDEvent, the header of a crypto-agile log. */
export interface SpecId {
  readonly platformClass: number;
  readonly version: string;
  readonly uintnSize: number;
  readonly algorithms: readonly LogAlgorithm[];
  readonly vendorInfo: Uint8Array;
}

const SIGNATURE = Buffer.from('Spec ID Event03\0', 'latin1');
const MAX_ALGORITHMS = 16;
const MAX_DIGEST = 64;

export function isSpecId(data: Uint8Array): boolean {
  return SIGNATURE.equals(data.subarray(0, SIGNATURE.length));
}

/** @throws TouchmarkError `boot_log_invalid`, `boot_log_truncated` */
export function parseSpecId(data: Uint8Array): SpecId {
  const reader = logReader(Buffer.from(data), 'the Spec ID event');
  reader.bytes(SIGNATURE.length);
  const platformClass = reader.u32();
  const [minor, major, errata] = [reader.u8(), reader.u8(), reader.u8()];
  const uintnSize = reader.u8();
  const count = reader.u32();
  if (count === 0 || count > MAX_ALGORITHMS) {
    throw invalid(`lists ${count} algorithms, 1 to ${MAX_ALGORITHMS} are allowed`);
  }
  const algorithms: LogAlgorithm[] = [];
  for (let index = 0; index < count; index++) algorithms.push(algorithm(reader.u16(), reader.u16()));
  if (new Set(algorithms.map(({ id }) => id)).size !== count) throw invalid('lists an algorithm twice');
  const vendorInfo = reader.bytes(reader.u8());
  return { platformClass, version: `${major}.${minor} errata ${errata}`, uintnSize, algorithms, vendorInfo };
}

function algorithm(id: number, size: number): LogAlgorithm {
  const known = knownHash(id);
  if (known && known.size !== size) {
    throw invalid(`gives ${known.name} digests of ${size} bytes, they have ${known.size}`);
  }
  if (size === 0 || size > MAX_DIGEST) throw invalid(`gives ${hex16(id)} digests of ${size} bytes`);
  return { id, size, bank: known?.name ?? hex16(id) };
}

function knownHash(id: number): ReturnType<typeof hashById> | undefined {
  try {
    return hashById(id);
  } catch {
    return undefined;
  }
}

function invalid(what: string): TouchmarkError {
  return new TouchmarkError('boot_log_invalid', `the Spec ID event of the boot log ${what}`);
}
