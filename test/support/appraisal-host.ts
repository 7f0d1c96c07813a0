/** A host that measures into registers of its own: evidence without a chip. */
import { hash } from 'node:crypto';
import type { Evidence, LogPart } from '../../src/measure/appraise/contract.js';
import { eventType } from '../../src/measure/boot/event-types.js';
import { pcrDigest } from '../../src/tpm/pcr.js';
import { agileLog, type MadeEvent } from './boot-log-factory.js';
import { digestField, field, record as imaRecord, nameField, sha, sigData } from './ima-list.js';
import { userspaceLog, type record as userspaceRecord } from './userspace-log-factory.js';

export const quotedPcrs = [...Array(16).keys()];
export const AT = Date.UTC(2026, 10, 1);

export const sha256 = (data: string | Uint8Array): string =>
  `sha256:${hash('sha256', Buffer.from(data), 'hex')}`;
const bytesOf = (data: string | Uint8Array) => hash('sha256', Buffer.from(data), 'buffer');

/** One entry of an IMA list, with what the kernel extends for it. */
export interface MadeEntry {
  readonly bytes: Buffer;
  readonly pcr: number;
  /** Undefined: a violation. */
  readonly data: Buffer | undefined;
}

export function file(path: string, content = path, signature = Buffer.alloc(0)): MadeEntry {
  return entry('ima-sig', sigData(path, content, signature));
}

export function entry(template: string, data: Buffer, pcr = 10): MadeEntry {
  return { bytes: imaRecord(template, data, { pcr }), pcr, data };
}

export function violation(path: string): MadeEntry {
  const data = Buffer.concat([
    field(digestField('sha256:', Buffer.alloc(32))),
    field(nameField(path)),
    field(Buffer.alloc(0)),
  ]);
  return { bytes: imaRecord('ima-sig', data, { digest: Buffer.alloc(20) }), pcr: 10, data: undefined };
}

/** `ima-buf`: a key, a command line for kexec, critical data. */
export function buffer(name: string, content: string | Uint8Array, measured = content): MadeEntry {
  const bytes = Buffer.from(content);
  const digest = digestField('sha256:', sha('sha256', Buffer.from(measured)));
  return entry('ima-buf', Buffer.concat([field(digest), field(nameField(name)), field(bytes)]));
}

export interface MadeHost {
  readonly boot: readonly MadeEvent[];
  readonly userspace: readonly ReturnType<typeof userspaceRecord>[];
  /** What the list begins with instead of a boot_aggregate. */
  readonly first?: MadeEntry;
  /** Entries after boot_aggregate. */
  readonly ima: readonly MadeEntry[];
  /** How many records and entries (boot_aggregate counts) were measured when the chip quoted; the rest came later. */
  readonly quotedRecords?: number;
  readonly quotedEntries?: number;
  /** Locality of TPM2_Startup, or 4 where an H-CRTM came before it: how PCR 0 began. */
  readonly startup?: number;
  /** Changes registers behind the back of the logs. */
  readonly tamper?: (pcrs: Map<number, Uint8Array>) => void;
}

/** A chip with a SHA-256 bank. */
function registers(): { pcrs: Map<number, Uint8Array>; extend: (pcr: number, by: Uint8Array) => void } {
  const pcrs = new Map<number, Uint8Array>();
  for (let pcr = 0; pcr < 24; pcr++) pcrs.set(pcr, Buffer.alloc(32, pcr >= 17 && pcr <= 22 ? 0xff : 0));
  const extend = (pcr: number, by: Uint8Array) => {
    pcrs.set(pcr, bytesOf(Buffer.concat([pcrs.get(pcr) ?? Buffer.alloc(32), by])));
  };
  return { pcrs, extend };
}

export interface MeasuredHost {
  readonly evidence: Evidence;
  readonly bootLog: Buffer;
  readonly userspaceLog: Buffer;
  readonly imaList: Buffer;
  /** Entries as they stand in the list, boot_aggregate first. */
  readonly entries: readonly MadeEntry[];
  readonly pcrs: ReadonlyMap<number, Uint8Array>;
}

/** Boots a host: whatever it measures is extended and written down. */
export function measure(host: MadeHost): MeasuredHost {
  const { pcrs, extend } = registers();
  pcrs.set(0, Buffer.from([...Buffer.alloc(31), host.startup ?? 0]));
  for (const { pcr, type, data = '', measured = data, digests } of host.boot) {
    if (type === eventType.noAction) continue;
    extend(pcr, digests?.find(([id]) => id === 0xb)?.[1] ?? bytesOf(measured));
  }
  const first = [...Array(10).keys()].map((pcr) => pcrs.get(pcr) ?? Buffer.alloc(32));
  const aggregate = Buffer.concat([
    field(digestField('sha256:', sha('sha256', Buffer.concat(first)))),
    field(nameField('boot_aggregate')),
    field(Buffer.alloc(0)),
  ]);
  for (const { pcr, digests } of host.userspace.slice(0, host.quotedRecords)) {
    extend(pcr, Buffer.from(digests[0]?.digest ?? '', 'hex'));
  }
  const entries = [host.first ?? entry('ima-sig', aggregate), ...host.ima];
  for (const { pcr, data } of entries.slice(0, host.quotedEntries)) {
    extend(pcr, data ? bytesOf(data) : Buffer.alloc(32, 0xff));
  }
  host.tamper?.(pcrs);
  const bootLog = agileLog(host.boot);
  const userspace = userspaceLog(...host.userspace);
  const imaList = Buffer.concat(entries.map(({ bytes }) => bytes));
  const evidence = evidenceOf(pcrs, { bootLog, userspaceLog: userspace, imaList });
  return { evidence, bootLog, userspaceLog: userspace, imaList, entries, pcrs };
}

export const whole = (bytes: Uint8Array): LogPart => ({ kind: 'bytes', offset: 0, bytes });
export const absent: LogPart = { kind: 'absent', reason: 'no such file' };
export const unchanged: LogPart = { kind: 'unchanged' };

export interface LogBytes {
  readonly bootLog?: Uint8Array;
  readonly userspaceLog?: Uint8Array;
  readonly imaList?: Uint8Array;
}

export function evidenceOf(
  pcrs: ReadonlyMap<number, Uint8Array>,
  logs: LogBytes,
  options: { pcrs?: readonly number[]; resetCount?: number; restartCount?: number; at?: number } = {},
): Evidence {
  const selection = { bank: 'sha256', pcrs: options.pcrs ?? quotedPcrs } as const;
  const pcrValues = new Map(selection.pcrs.map((pcr) => [pcr, pcrs.get(pcr) ?? Buffer.alloc(32)]));
  const part = (bytes: Uint8Array | undefined) => (bytes ? whole(bytes) : absent);
  return {
    at: options.at ?? AT,
    quote: {
      clock: 1000n,
      resetCount: options.resetCount ?? 1,
      restartCount: options.restartCount ?? 0,
      safe: true,
      firmwareVersion: 1n,
      pcrDigest: pcrDigest('sha256', selection, pcrValues),
      digestHash: 'sha256',
      selection,
      extraData: Buffer.alloc(32),
    },
    pcrValues,
    logs: {
      'boot-log': part(logs.bootLog),
      'userspace-log': part(logs.userspaceLog),
      'ima-list': part(logs.imaList),
    },
  };
}

/** Only the digest over all registers is known. */
export function withoutValues({ pcrValues: _, ...evidence }: Evidence): Evidence {
  return evidence;
}

export function withLogs(evidence: Evidence, logs: Partial<Evidence['logs']>): Evidence {
  return { ...evidence, logs: { ...evidence.logs, ...logs } };
}
