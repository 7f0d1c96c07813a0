import { hash } from 'node:crypto';
import { eventType } from '../../src/measure/boot/event-types.js';

export interface MadeEvent {
  readonly pcr: number;
  readonly type: number;
  readonly data?: string | Uint8Array;
  /** What is measured, when it is not the data. */
  readonly measured?: string | Uint8Array;
  /** Digests as they are written, when they are not of `measured`. */
  readonly digests?: readonly (readonly [number, Uint8Array])[];
}

export const algorithms = { sha1: [0x4, 20], sha256: [0xb, 32] } as const;
type Listed = readonly (readonly [number, number])[];
export const both: Listed = [algorithms.sha1, algorithms.sha256];

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

export function u16(value: number): Buffer {
  return u32(value).subarray(0, 2);
}

/** A crypto-agile log with a digest of every listed algorithm in every event. */
export function agileLog(events: readonly MadeEvent[], listed: Listed = both, count = listed.length): Buffer {
  const header = Buffer.concat([
    Buffer.from('Spec ID Event03\0'),
    u32(0),
    Buffer.from([0, 2, 0, 2]),
    u32(count),
    ...listed.flatMap(([id, size]) => [u16(id), u16(size)]),
    Buffer.from([0]),
  ]);
  return Buffer.concat([
    sha1Event({ pcr: 0, type: eventType.noAction, data: header }),
    ...events.map(event2),
  ]);
}

export function sha1Log(events: readonly MadeEvent[]): Buffer {
  return Buffer.concat(events.map(sha1Event));
}

/** Separators of the PCRs of the firmware, without which every log has findings. */
export function separators(value = '00000000', pcrs = [0, 1, 2, 3, 4, 5, 6, 7]): MadeEvent[] {
  return pcrs.map((pcr) => ({ pcr, type: eventType.separator, data: Buffer.from(value, 'hex') }));
}

export function locality(value: number): MadeEvent {
  const data = Buffer.from(`StartupLocality\0${String.fromCharCode(value)}`, 'latin1');
  return { pcr: 0, type: eventType.noAction, data };
}

/** UEFI_VARIABLE_DATA. */
export function variable(name: string, value: string | Uint8Array): Buffer {
  const lengths = [u32(name.length), u32(0), u32(value.length), u32(0)];
  return Buffer.concat([Buffer.alloc(16), ...lengths, Buffer.from(name, 'utf16le'), Buffer.from(value)]);
}

function event2(event: MadeEvent): Buffer {
  const { pcr, type, data = '', measured = data } = event;
  const digests = event.digests ?? [
    [0x4, hash('sha1', Buffer.from(measured), 'buffer')],
    [0xb, hash('sha256', Buffer.from(measured), 'buffer')],
  ];
  const written = digests.flatMap(([id, value]) => [u16(id), value]);
  return Buffer.concat([u32(pcr), u32(type), u32(digests.length), ...written, sized(data)]);
}

function sha1Event({ pcr, type, data = '', measured = data }: MadeEvent): Buffer {
  const value =
    type === eventType.noAction ? Buffer.alloc(20) : hash('sha1', Buffer.from(measured), 'buffer');
  return Buffer.concat([u32(pcr), u32(type), value, sized(data)]);
}

function sized(data: string | Uint8Array): Buffer {
  return Buffer.concat([u32(Buffer.from(data).length), Buffer.from(data)]);
}
