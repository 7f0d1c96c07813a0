/**
 * What a quote covers of a log, told without the code under test: bytes are walked and registers computed by nothing but
 * hashes. Reads only what the worlds of these tests write; anything else throws.
 */
import { hash } from 'node:crypto';

export interface WalkedEvent {
  readonly start: number;
  readonly end: number;
  readonly pcr: number;
  readonly type: number;
  /** SHA-256 in hex; undefined where the event has none. */
  readonly digest: string | undefined;
  readonly data: Buffer;
}

export const NO_ACTION = 3;
const SEPARATOR = 4;
const CRTM_VERSION = 8;
const IPL = 0xd;
const VARIABLE = 0x80000001;
const BOOT_VARIABLE = 0x80000002;
const ACTION = 0x80000007;
const HCRTM = 0x80000010;
const AUTHORITY = 0x800000e0;
const claimsData = new Set([SEPARATOR, CRTM_VERSION, VARIABLE, BOOT_VARIABLE, ACTION, AUTHORITY]);
const SHA256 = 0xb;
const sha256 = (bytes: Uint8Array) => hash('sha256', bytes);

class Walker {
  at = 0;
  readonly bytes: Buffer;
  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  take(size: number): Buffer {
    if (size > this.bytes.length - this.at) throw new RangeError('cut off');
    this.at += size;
    return this.bytes.subarray(this.at - size, this.at);
  }

  u16(): number {
    return this.take(2).readUInt16LE();
  }

  u32(): number {
    return this.take(4).readUInt32LE();
  }
}

/** Events behind the header, which lists the algorithms. */
export function walkBootLog(bytes: Buffer): { header: Buffer; events: WalkedEvent[] } {
  const walker = new Walker(bytes);
  const sizes = readHeader(walker);
  const header = bytes.subarray(0, walker.at);
  const events: WalkedEvent[] = [];
  // Zeros fill a file to its end.
  while (bytes.subarray(walker.at).some((byte) => byte !== 0)) {
    const start = walker.at;
    const [pcr, type] = [walker.u32(), walker.u32()];
    const digests = new Map<number, string>();
    for (let count = walker.u32(); count > 0; count--) {
      const id = walker.u16();
      const size = sizes.get(id);
      if (size === undefined || digests.has(id)) throw new RangeError(`digest ${id}`);
      digests.set(id, walker.take(size).toString('hex'));
    }
    const data = walker.take(walker.u32());
    events.push({ start, end: walker.at, pcr, type, digest: digests.get(SHA256), data });
  }
  return { header, events };
}

function readHeader(walker: Walker): Map<number, number> {
  walker.take(4);
  if (walker.u32() !== NO_ACTION) throw new RangeError('no header');
  walker.take(20);
  const inner = new Walker(walker.take(walker.u32()));
  if (inner.take(16).toString('latin1') !== 'Spec ID Event03\0') throw new RangeError('no header');
  inner.take(8);
  const sizes = new Map<number, number>();
  for (let count = inner.u32(); count > 0; count--) sizes.set(inner.u16(), inner.u16());
  inner.take(inner.take(1)[0] ?? 0);
  return sizes;
}

/** What the log makes of its registers, from how PCR 0 began. */
function registersOf(events: readonly WalkedEvent[]): Map<number, string> {
  const values = new Map([[0, `${'00'.repeat(31)}0${startOf(events)}`]]);
  for (const { pcr, type, digest } of events) {
    if (type === NO_ACTION) continue;
    const before = values.get(pcr) ?? '00'.repeat(32);
    values.set(pcr, digest === undefined ? 'unknown' : sha256(Buffer.from(before + digest, 'hex')));
  }
  return values;
}

function startOf(events: readonly WalkedEvent[]): number {
  const first = events.findIndex(({ pcr, type }) => pcr === 0 && type !== NO_ACTION);
  if (events[first]?.type === HCRTM) return 4;
  const told = events.slice(0, first < 0 ? events.length : first).filter(isLocality);
  return told[0]?.data[16] ?? 0;
}

function isLocality({ type, data }: WalkedEvent): boolean {
  const value = data[16];
  if (type !== NO_ACTION || data.length !== 17 || data.toString('latin1', 0, 16) !== 'StartupLocality\0')
    return false;
  return value === 0 || value === 3 || value === 4;
}

/** All that a SHA-256 quote covers of some registers: their values, and data where the type says that it was measured. */
export function coveredByBootLog(bytes: Buffer, pcrs: readonly number[]): string {
  const { events } = walkBootLog(bytes);
  const values = registersOf(events);
  // Registers do not tell in which order two of them were extended.
  const rows = pcrs.map((pcr) => [
    values.get(pcr),
    events.filter((event) => event.pcr === pcr && event.type !== NO_ACTION).map(meaningOf),
  ]);
  return JSON.stringify(rows);
}

const separator = sha256(Buffer.alloc(4));

/**
 * In PCR 7 type and data decide what an event means, but of a separator; in PCR 11 digests alone do, which are those of an
 * image. Elsewhere they do too, but data that claims to be what was measured must be it.
 */
function meaningOf({ pcr, type, digest, data }: WalkedEvent): unknown[] {
  if (pcr === 7 && digest !== separator) return [digest, type, data.toString('hex')];
  if (pcr === 11) return [digest];
  return [digest, liesOf(type, pcr, data, digest)];
}

function liesOf(type: number, pcr: number, data: Buffer, digest: string | undefined): boolean {
  if (claimsData.has(type)) return sha256(data) !== digest;
  const text = /^(?:grub_cmd|kernel_cmdline): (.*?)\0?$/s.exec(data.toString('latin1'))?.[1];
  return type === IPL && pcr === 8 && text !== undefined && sha256(Buffer.from(text, 'latin1')) !== digest;
}

export interface WalkedEntry {
  readonly start: number;
  readonly end: number;
  readonly pcr: number;
  readonly template: string;
  readonly violation: boolean;
  readonly data: string;
}

export function walkIma(bytes: Buffer): WalkedEntry[] {
  const walker = new Walker(bytes);
  const entries: WalkedEntry[] = [];
  while (walker.at < bytes.length) {
    const start = walker.at;
    const pcr = walker.u32();
    const violation = walker.take(20).every((byte) => byte === 0);
    const template = walker.take(walker.u32()).toString('latin1');
    const data = walker.take(walker.u32()).toString('hex');
    entries.push({ start, end: walker.at, pcr, template, violation, data });
  }
  return entries;
}

/**
 * What a list says up to the quote. The kernel vouches for nothing in a violation but for its being one.
 * @param templates whether anything follows from how the data is split into fields, which no digest covers
 */
export function coveredByIma(bytes: Buffer, templates: boolean): string {
  return JSON.stringify(
    walkIma(bytes).map(({ pcr, template, violation, data }) => [
      pcr,
      ...(violation ? ['violation'] : [templates ? template : '', data]),
    ]),
  );
}

/** PCR 10 after each entry. */
export function imaRegister(bytes: Buffer): string {
  let value = '00'.repeat(32);
  for (const { pcr, violation, data } of walkIma(bytes)) {
    const by = violation ? 'ff'.repeat(32) : sha256(Buffer.from(data, 'hex'));
    if (pcr === 10) value = sha256(Buffer.from(value + by, 'hex'));
  }
  return value;
}

/** What registers cover of the first bytes of a userspace log. */
export function coveredByUserspace(bytes: Buffer): string {
  const rows = bytes.toString().split('\x1e').slice(1);
  const records = rows.map((one) => {
    const { pcr, digests, content } = JSON.parse(one);
    const measured = digests.find((row: { hashAlg: string }) => row.hashAlg === 'sha256');
    return [pcr, measured.digest.toLowerCase(), content.string];
  });
  // Registers do not tell in which order two of them were extended.
  return JSON.stringify(records.filter(([pcr]) => pcr !== undefined).sort(([a], [b]) => a - b));
}
