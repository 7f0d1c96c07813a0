import { copyFrom, memory, type NativeLibrary, openLibrary } from './library.js';

const signatures = {
  getpwuid_r: ['u32', 'pointer', 'pointer', 'size', 'pointer'],
  getgrgid_r: ['u32', 'pointer', 'pointer', 'size', 'pointer'],
} as const;

let loaded: NativeLibrary<typeof signatures> | undefined;

function libc(): NativeLibrary<typeof signatures> {
  loaded ??= openLibrary('libc.so.6', 'int', signatures, 'libc6');
  return loaded;
}

const ERANGE = 34;
/** struct passwd has 48 bytes and struct group 32; both begin with the name's address. */
const RECORD_BYTES = 64;
const FIRST_BUFFER = 4096;
/** A group lists its members in the same buffer. */
const LARGEST_BUFFER = 4 * 1024 * 1024;
const LONGEST_NAME = 256;

/** The user's name, through whatever the host asks for names (nsswitch.conf); undefined when it has none. */
export function userName(uid: number): Promise<string | undefined> {
  return lookUp('getpwuid_r', uid);
}

export function groupName(gid: number): Promise<string | undefined> {
  return lookUp('getgrgid_r', gid);
}

async function lookUp(call: keyof typeof signatures, id: number): Promise<string | undefined> {
  for (let size = FIRST_BUFFER; size <= LARGEST_BUFFER; size *= 8) {
    const record = memory(RECORD_BYTES);
    const buffer = memory(size);
    const result = memory(8);
    const code = await libc().later(call, id, record, buffer, size, result);
    if (code === ERANGE) continue;
    // A name service that fails is no reason to refuse a workload: it merely lacks the selector.
    if (code !== 0 || result.readBigUInt64LE(0) === 0n) return undefined;
    return readName(record.readBigUInt64LE(0), buffer);
  }
  return undefined;
}

/** The string lies in `buffer`, which is alive here; so reading on to its end stays within it. */
function readName(address: bigint, buffer: Buffer): string | undefined {
  if (address === 0n || buffer.length === 0) return undefined;
  const bytes: number[] = [];
  for (let at = 0; at < LONGEST_NAME; at++) {
    const [byte] = copyFrom(address + BigInt(at), 1);
    if (byte === undefined || byte === 0) return Buffer.from(bytes).toString('utf8');
    bytes.push(byte);
  }
  return undefined;
}
