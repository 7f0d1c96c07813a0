import { TouchmarkError } from '../../errors.js';
import { hex16 } from '../../tpm/algorithms.js';
import { type LogReader, logReader } from '../little-endian.js';
import { eventType } from './event-types.js';
import { isSpecId, type LogAlgorithm, parseSpecId, type SpecId } from './spec-id.js';

/** One measured event, as the log tells it: only PCR, digests and order can be confirmed by a quote. */
export interface BootEvent {
  /** Place in the log; the Spec ID header does not count. */
  readonly index: number;
  readonly pcr: number;
  /** TCG_EVENTTYPE: text that nobody vouches for. */
  readonly type: number;
  /** By bank; an algorithm that cannot be computed here is kept under its number, `0x0012`. */
  readonly digests: ReadonlyMap<string, Uint8Array>;
  /** Nobody vouches for it, unless it hashes to the digest and the type says that it should. */
  readonly data: Uint8Array;
}

/** `sha1-tpm12` is the older layout: one SHA-1 digest an event. */
export interface BootLog {
  readonly format: 'sha1-tpm12' | 'crypto-agile';
  readonly specId: SpecId | undefined;
  /** Banks that the log has digests for, in its order. */
  readonly algorithms: readonly LogAlgorithm[];
  readonly events: readonly BootEvent[];
}

/** The largest log of a shipped machine that we know of has 73 kB. */
export const MAX_BOOT_LOG = 2 * 1024 * 1024;
const MAX_PCR = 23;
const sha1: LogAlgorithm = { id: 0x0004, size: 20, bank: 'sha1' };

/**
 * Reads a TCG event log (PC Client Platform Firmware Profile, 9 and 10) as the kernel shows it in
 * `binary_bios_measurements`. Zeros after the last event are padding. Says nothing about whether anything in it happened:
 * replay it, and compare with a quote.
 * @throws TouchmarkError `boot_log_too_large`, `boot_log_truncated`, `boot_log_invalid`
 */
export function parseBootLog(input: Uint8Array): BootLog {
  if (input.length > MAX_BOOT_LOG) {
    const message = `the boot log has ${input.length} bytes, at most ${MAX_BOOT_LOG} are read`;
    throw new TouchmarkError('boot_log_too_large', message);
  }
  const bytes = Buffer.from(input);
  const end = contentEnd(bytes);
  if (end === 0) throw invalid('is empty');
  const reader = logReader(bytes, 'the boot log');
  const first = readSha1Event(reader, 0);
  if (first.type === eventType.noAction && isSpecId(first.data)) {
    const specId = parseSpecId(first.data);
    const events = readEvents(reader, end, [], (index) => readEvent2(reader, index, specId.algorithms));
    return { format: 'crypto-agile', specId, algorithms: specId.algorithms, events };
  }
  const events = readEvents(reader, end, [first], (index) => readSha1Event(reader, index));
  return { format: 'sha1-tpm12', specId: undefined, algorithms: [sha1], events };
}

function readEvents(
  reader: LogReader,
  end: number,
  events: BootEvent[],
  read: (index: number) => BootEvent,
): BootEvent[] {
  while (reader.offset() < end) events.push(read(events.length));
  return events;
}

/** TCG_PCR_EVENT. */
function readSha1Event(reader: LogReader, index: number): BootEvent {
  const [pcr, type] = [reader.u32(), reader.u32()];
  const digests = new Map([[sha1.bank, reader.bytes(sha1.size)]]);
  return checked({ index, pcr, type, digests, data: reader.bytes(reader.u32()) });
}

/** TCG_PCR_EVENT2. */
function readEvent2(reader: LogReader, index: number, algorithms: readonly LogAlgorithm[]): BootEvent {
  const [pcr, type] = [reader.u32(), reader.u32()];
  const digests = readDigests(reader, index, algorithms);
  return checked({ index, pcr, type, digests, data: reader.bytes(reader.u32()) });
}

/**
 * Each listed algorithm at most once and no other. An event that leaves one out is kept: `replayBootLog` then gives its
 * PCR up in that bank, and says so.
 */
function readDigests(
  reader: LogReader,
  index: number,
  algorithms: readonly LogAlgorithm[],
): Map<string, Uint8Array> {
  const count = reader.u32();
  if (count === 0 || count > algorithms.length) {
    throw invalid(`has ${count} digests in event ${index}, its header lists ${algorithms.length}`);
  }
  const digests = new Map<string, Uint8Array>();
  for (let left = count; left > 0; left--) {
    const id = reader.u16();
    const listed = algorithms.find((algorithm) => algorithm.id === id);
    if (!listed) throw invalid(`has a digest of unlisted algorithm ${hex16(id)} in event ${index}`);
    if (digests.has(listed.bank)) throw invalid(`has two ${listed.bank} digests in event ${index}`);
    digests.set(listed.bank, reader.bytes(listed.size));
  }
  return digests;
}

/** Events that extend nothing may name any PCR: some firmware writes 0xffffffff there. */
function checked(event: BootEvent): BootEvent {
  if (event.pcr <= MAX_PCR || event.type === eventType.noAction) return event;
  throw invalid(`names PCR ${event.pcr} in event ${event.index}, there are 0 to ${MAX_PCR}`);
}

/** Where the zeros begin that fill the file to its end. */
function contentEnd(bytes: Buffer): number {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end--;
  return end;
}

function invalid(what: string): TouchmarkError {
  return new TouchmarkError('boot_log_invalid', `the boot log ${what}`);
}
