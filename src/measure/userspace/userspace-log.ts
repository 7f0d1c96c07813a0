import { TouchmarkError } from '../../errors.js';
import { isJsonObject, type JsonObject, type JsonValue, parseJsonObject } from '../../spiffe/json.js';
import { hashByName, isHashName } from '../../tpm/algorithms.js';

/** One measurement that systemd made after boot. */
export interface UserspaceEvent {
  /** Place in the log. */
  readonly index: number;
  /** Undefined for a measurement into an NV index, which extends no PCR. */
  readonly pcr: number | undefined;
  /** By the name that the log gives the algorithm. */
  readonly digests: ReadonlyMap<string, Uint8Array>;
  readonly contentType: string;
  /** What was measured, by its own account: `phase`, `machine-id`, `file-system`; empty if not told. */
  readonly eventType: string;
  /** The text that was measured, if the log has it. */
  readonly text: string | undefined;
  /** All that the record tells; nobody vouches for it. */
  readonly content: JsonValue;
}

/** Registers that systemd extends after boot. What claims to have extended another one is not believed. */
export const userspacePcrs: ReadonlySet<number> = new Set([9, 11, 12, 13, 15]);

export interface UserspaceLog {
  readonly format: 'cel-json';
  readonly events: readonly UserspaceEvent[];
}

export const MAX_USERSPACE_LOG = 2 * 1024 * 1024;
const MAX_RECORD = 64 * 1024;
const MAX_DIGESTS = 16;
const MAX_DIGEST = 64;
const MAX_PCR = 23;
const RECORD_SEPARATOR = 0x1e;
const LINE_FEED = 0x0a;

/** A volume key: measured as an HMAC under itself, so that its name can be known and the digest not checked. */
export function isKeyed({ pcr, eventType, text = '' }: UserspaceEvent): boolean {
  return pcr === 15 && eventType === 'volume-key' && text.startsWith('cryptsetup:');
}

/**
 * Reads `tpm2-measure.log` of systemd: a JSON text sequence (RFC 7464) of records in the JSON form of the TCG Canonical Event
 * Log, without record numbers. A log without records is one. Says nothing about whether anything in it happened.
 * @throws TouchmarkError `userspace_log_too_large`, `userspace_log_truncated`, `userspace_log_invalid`
 */
export function parseUserspaceLog(input: Uint8Array): UserspaceLog {
  if (input.length > MAX_USERSPACE_LOG) {
    throw tooLarge(`the userspace log has ${input.length} bytes, at most ${MAX_USERSPACE_LOG} are read`);
  }
  const bytes = Buffer.from(input);
  const events: UserspaceEvent[] = [];
  for (let start = 0; start < bytes.length; ) {
    if (bytes[start] !== RECORD_SEPARATOR) throw invalid(events.length, 'does not begin with the byte 1e');
    const next = bytes.indexOf(RECORD_SEPARATOR, start + 1);
    const end = next < 0 ? bytes.length : next;
    events.push(readRecord(bytes.subarray(start + 1, end), events.length));
    start = end;
  }
  return { format: 'cel-json', events };
}

function readRecord(bytes: Buffer, index: number): UserspaceEvent {
  if (bytes.length > MAX_RECORD) {
    throw tooLarge(`record ${index} of the userspace log has ${bytes.length} bytes, more than ${MAX_RECORD}`);
  }
  if (bytes[bytes.length - 1] !== LINE_FEED) {
    throw new TouchmarkError('userspace_log_truncated', `record ${index} of the userspace log is cut off`);
  }
  const record = readObject(bytes, index);
  const content = record['content'] ?? null;
  const details = isJsonObject(content) ? content : undefined;
  const text = details?.['string'];
  return {
    index,
    pcr: readPcr(record, index),
    digests: readDigests(record['digests'], index),
    contentType: readText(record['content_type'], 'content_type', index),
    eventType: readText(details?.['eventType'] ?? '', 'eventType', index),
    text: text === undefined ? undefined : readText(text, 'string', index),
    content,
  };
}

function readObject(bytes: Buffer, index: number): JsonObject {
  try {
    return parseJsonObject(bytes, { maxLength: MAX_RECORD });
  } catch (cause) {
    const why = cause instanceof TouchmarkError ? cause.message : 'it cannot be read';
    throw invalid(index, `is no JSON object: ${why}`, cause);
  }
}

function readPcr(record: JsonObject, index: number): number | undefined {
  const pcr = record['pcr'];
  if (pcr === undefined && record['nv_index'] !== undefined) return undefined;
  if (record['nv_index'] !== undefined) throw invalid(index, 'names a PCR and an NV index');
  if (typeof pcr === 'number' && Number.isInteger(pcr) && pcr >= 0 && pcr <= MAX_PCR) return pcr;
  throw invalid(index, `names ${pcr === undefined ? 'no PCR' : `PCR ${shown(pcr)}`}`);
}

function readDigests(value: JsonValue | undefined, index: number): Map<string, Uint8Array> {
  if (!Array.isArray(value) || value.length === 0 || value.length > MAX_DIGESTS) {
    throw invalid(index, `has no list of 1 to ${MAX_DIGESTS} digests`);
  }
  const digests = new Map<string, Uint8Array>();
  for (const item of value) {
    const name = isJsonObject(item) ? item['hashAlg'] : undefined;
    if (!isJsonObject(item) || typeof name !== 'string') throw invalid(index, 'has a digest without hashAlg');
    if (digests.has(name)) throw invalid(index, `has two digests of ${shown(name)}`);
    digests.set(name, readDigest(name, item['digest'], index));
  }
  return digests;
}

function readDigest(name: string, value: JsonValue | undefined, index: number): Uint8Array {
  const size = isHashName(name) ? hashByName(name).size : undefined;
  const hex = typeof value === 'string' && /^([0-9a-fA-F]{2}){1,64}$/.test(value) ? value : '';
  const bytes = Buffer.from(hex, 'hex');
  if (bytes.length === (size ?? bytes.length) && bytes.length > 0) return bytes;
  throw invalid(
    index,
    `has a ${shown(name)} digest that is not ${size ?? `1 to ${MAX_DIGEST}`} bytes in hex`,
  );
}

function readText(value: JsonValue | undefined, name: string, index: number): string {
  if (typeof value === 'string') return value;
  throw invalid(index, `has no text as ${name}`);
}

/** A value of the log in a message: bounded, and quoted as JSON. */
function shown(value: JsonValue): string {
  return JSON.stringify(String(value).slice(0, 40));
}

function tooLarge(message: string): TouchmarkError {
  return new TouchmarkError('userspace_log_too_large', message);
}

function invalid(index: number, what: string, cause?: unknown): TouchmarkError {
  const message = `record ${index} of the userspace log ${what}`;
  return new TouchmarkError('userspace_log_invalid', message, { cause });
}
