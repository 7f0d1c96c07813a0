import { memory } from '../../../native/library.js';
import { ESYS_TR_NONE } from '../../../native/tss2-esys.js';
import { hashById } from '../../tpm/algorithms.js';
import { atMost, type Reader, readerOf } from '../../tpm/reader.js';
import type { LoadedHandles, PcrBank, PcrSelection, TpmFacts } from '../tpm.js';
import type { TpmScope } from './scope.js';

const TPM_CAP = { handles: 1, pcrs: 5, properties: 6 } as const;
/** TPM_PT of TPM 2.0 Part 2, 6.13. */
const PT = {
  family: 0x100,
  revision: 0x102,
  manufacturer: 0x105,
  vendor: [0x106, 0x107, 0x108, 0x109],
  firmware1: 0x10b,
  firmware2: 0x10c,
  nvBufferMax: 0x12c,
  lockoutCounter: 0x20e,
} as const;
const FIRST = { loadedSession: 0x02000000, savedSession: 0x03000000, transient: 0x80000000 } as const;
const FIRST_PERSISTENT = 0x81000000;
const PAGE = 64;
const MAX_PAGES = 64;

export async function describeChip(scope: TpmScope): Promise<TpmFacts> {
  const fixed = await properties(scope, 0x100, PAGE);
  const variable = await properties(scope, 0x200, PAGE);
  const value = (property: number) => (property < 0x200 ? fixed : variable).get(property) ?? 0;
  return {
    manufacturer: text([value(PT.manufacturer)]),
    vendorString: text(PT.vendor.map(value)),
    firmwareVersion: hex32(value(PT.firmware1)) + hex32(value(PT.firmware2)),
    family: text([value(PT.family)]),
    revision: value(PT.revision),
    banks: await allocatedBanks(scope),
    lockoutCounter: value(PT.lockoutCounter),
    loadedHandles: await loadedHandles(scope),
    nvBufferMax: value(PT.nvBufferMax),
  };
}

/** Largest NV_Read of this chip. */
export async function nvBufferMax(scope: TpmScope): Promise<number> {
  const found = await properties(scope, PT.nvBufferMax, 1);
  return found.get(PT.nvBufferMax) ?? 512;
}

async function loadedHandles(scope: TpmScope): Promise<LoadedHandles> {
  const count = async (first: number) => (await handlesFrom(scope, first, first + 0xffffff)).length;
  return {
    transient: await count(FIRST.transient),
    loadedSessions: await count(FIRST.loadedSession),
    savedSessions: await count(FIRST.savedSession),
    persistent: await count(FIRST_PERSISTENT),
  };
}

/** The chip's handles between two numbers (NV indices among them), ascending. */
export async function handlesFrom(scope: TpmScope, first: number, last: number): Promise<number[]> {
  const found: number[] = [];
  let next = first;
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const { more, data } = await capability(scope, TPM_CAP.handles, next, PAGE);
    const handles = Array.from({ length: count(data) }, () => data.u32());
    found.push(...handles.filter((handle) => handle >= first && handle <= last));
    const highest = handles.at(-1);
    if (!more || highest === undefined || highest < next || highest >= last) break;
    next = highest + 1;
  }
  return found;
}

async function properties(scope: TpmScope, first: number, most: number): Promise<Map<number, number>> {
  const { data } = await capability(scope, TPM_CAP.properties, first, most);
  return new Map(Array.from({ length: count(data) }, () => [data.u32(), data.u32()]));
}

/** Banks of which at least one PCR is allocated; a bank with a hash that we do not know is left out. */
async function allocatedBanks(scope: TpmScope): Promise<PcrSelection[]> {
  const { data } = await capability(scope, TPM_CAP.pcrs, 0, 1);
  const banks: PcrSelection[] = [];
  for (let left = count(data); left > 0; left -= 1) {
    const bank = bankName(data.u16());
    const bitmap = data.bytes(data.u8());
    const pcrs = [...bitmap].flatMap((byte, at) =>
      [0, 1, 2, 3, 4, 5, 6, 7].filter((bit) => (byte >> bit) & 1).map((bit) => at * 8 + bit),
    );
    if (bank !== undefined && pcrs.length > 0) banks.push({ bank, pcrs });
  }
  return banks;
}

function bankName(id: number): PcrBank | undefined {
  try {
    return hashById(id).name;
  } catch {
    return undefined;
  }
}

async function capability(
  scope: TpmScope,
  kind: number,
  property: number,
  most: number,
): Promise<{ more: boolean; data: Reader }> {
  const none = ESYS_TR_NONE;
  const more = memory(1);
  const output = scope.output();
  await scope.call('Esys_GetCapability', none, none, none, kind, property, most, more, output);
  const data = readerOf(scope.read('TPMS_CAPABILITY_DATA', output), 'TPMS_CAPABILITY_DATA');
  const answered = data.u32();
  if (answered !== kind) throw new TypeError(`the TPM answered capability ${answered} for ${kind}`);
  return { more: more[0] === 1, data };
}

function count(data: Reader): number {
  return atMost(data.u32(), 256, 'TPMS_CAPABILITY_DATA');
}

/** Numbers that hold four characters each; fill bytes go. */
function text(words: readonly number[]): string {
  const bytes = Buffer.alloc(words.length * 4);
  for (const [at, word] of words.entries()) bytes.writeUInt32BE(word, at * 4);
  const printable = [...bytes].filter((byte) => byte >= 0x20 && byte < 0x7f);
  return String.fromCharCode(...printable).trim();
}

function hex32(value: number): string {
  return value.toString(16).padStart(8, '0');
}
