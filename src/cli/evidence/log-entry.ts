/** Single entries of the logs, as people read them: what the reasons of a judgement point to. */
import { TouchmarkError } from '../../errors.js';
import type { ComponentReason, LogKind } from '../../measure/appraise/contract.js';
import { digestText, withoutNuls } from '../../measure/appraise/digest-text.js';
import { type BootEvent, parseBootLog } from '../../measure/boot/boot-log.js';
import { eventTypeName } from '../../measure/boot/event-types.js';
import { imaBinaryReader } from '../../measure/ima/ima-binary.js';
import { type ImaEntry, readImaEntry } from '../../measure/ima/ima-entry.js';
import { parseUserspaceLog, type UserspaceEvent } from '../../measure/userspace/userspace-log.js';
import { printable } from '../output.js';

/** What is known of one entry. */
export interface LogEntry {
  /** On one line. */
  readonly text: string;
  /** `sha256:<hex>` of what was measured: for IMA of the file, else of the event. */
  readonly digest: string;
  /** Of the IMA list only. */
  readonly path?: string;
}

/** Entry by log and number, as `touchmark inspect` counts. */
export type LogEntries = ReadonlyMap<string, LogEntry>;

const MAX_TEXT = 200;

export function entryKey({ log, event }: Pick<ComponentReason, 'log' | 'event'>): string {
  return `${log}#${event}`;
}

/**
 * Reads the entries that are asked for. A log that cannot be read gives none: the judgement says so with a reason of its own.
 */
export function readEntries(
  logs: Readonly<Partial<Record<LogKind, Uint8Array>>>,
  reasons: readonly Pick<ComponentReason, 'log' | 'event'>[],
  bank: string,
): LogEntries {
  const wanted = (kind: LogKind) =>
    new Set(reasons.flatMap(({ log, event }) => (log === kind && event !== undefined ? [event] : [])));
  const found = new Map<string, LogEntry>();
  const put = (log: LogKind, event: number, entry: LogEntry) => found.set(entryKey({ log, event }), entry);
  const { 'boot-log': boot, 'userspace-log': userspace, 'ima-list': ima } = logs;
  quietly(boot, (bytes) => {
    for (const event of pick(parseBootLog(bytes).events, wanted('boot-log'))) {
      put('boot-log', event.index, bootEntry(event, bank));
    }
  });
  quietly(userspace, (bytes) => {
    for (const event of pick(parseUserspaceLog(bytes).events, wanted('userspace-log'))) {
      put('userspace-log', event.index, userspaceEntry(event, bank));
    }
  });
  quietly(ima, (bytes) => {
    const numbers = wanted('ima-list');
    if (numbers.size === 0) return;
    for (const record of imaBinaryReader().push(bytes)) {
      if (numbers.has(record.event)) put('ima-list', record.event, imaEntry(readImaEntry(record)));
    }
  });
  return found;
}

function quietly(bytes: Uint8Array | undefined, task: (bytes: Uint8Array) => void): void {
  try {
    if (bytes !== undefined) task(bytes);
  } catch (error) {
    if (!(error instanceof TouchmarkError)) throw error;
  }
}

function pick<T extends { readonly index: number }>(events: readonly T[], wanted: ReadonlySet<number>): T[] {
  return events.filter(({ index }) => wanted.has(index));
}

function bootEntry({ pcr, type, digests, data }: BootEvent, bank: string): LogEntry {
  const digest = digestOf(digests, bank);
  const text = dataText(data);
  return { digest, text: `PCR ${pcr} ${eventTypeName(type)} ${digest}${text === '' ? '' : ` ${text}`}` };
}

function userspaceEntry({ pcr, eventType, text, digests }: UserspaceEvent, bank: string): LogEntry {
  const digest = digestOf(digests, bank);
  const shown = text === undefined ? '' : ` ${quoted(text)}`;
  return { digest, text: `PCR ${pcr ?? '-'} ${printable(eventType)} ${digest}${shown}` };
}

function imaEntry({ pcr, template, fileDigest, path, violation, problem }: ImaEntry): LogEntry {
  const digest =
    fileDigest === undefined
      ? ''
      : `${fileDigest.of === 'verity' ? 'verity:' : ''}${digestText(fileDigest.algorithm, fileDigest.digest)}`;
  const what = violation ? 'violation' : (problem ?? digest);
  const name = path?.text ?? '';
  return { digest, text: `PCR ${pcr} ${template} ${what} ${name}`.trimEnd(), path: name };
}

function digestOf(digests: ReadonlyMap<string, Uint8Array>, bank: string): string {
  const bytes = digests.get(bank);
  return bytes === undefined ? '' : digestText(bank, bytes);
}

/** Event data that is text, in either of the two ways in which firmware writes it; nobody vouches for it. */
function dataText(data: Uint8Array): string {
  const bytes = Buffer.from(data.buffer, data.byteOffset, Math.min(data.byteLength, 2 * MAX_TEXT));
  for (const encoding of ['utf8', 'utf16le'] as const) {
    const text = withoutNuls(bytes.toString(encoding));
    if (text.length > 1 && /^[\x20-\x7e]+$/.test(text)) return quoted(text);
  }
  return '';
}

function quoted(text: string): string {
  return JSON.stringify(printable(text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text));
}
