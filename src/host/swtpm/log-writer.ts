import { eventType } from '../../measure/boot/event-types.js';
import { digest, type HashName, hashByName } from '../../tpm/algorithms.js';
import type { MadeEvent } from './boot-events.js';

/** `binary_bios_measurements` of these events, crypto-agile, with a digest for each bank. */
export function writeBootLog(events: readonly MadeEvent[], banks: readonly HashName[]): Buffer {
  const header = Buffer.concat([
    Buffer.from('Spec ID Event03\0'),
    u32(0),
    Buffer.from([0, 2, 0, 2]),
    u32(banks.length),
    ...banks.flatMap((bank) => [u16(hashByName(bank).id), u16(hashByName(bank).size)]),
    Buffer.from([0]),
  ]);
  return Buffer.concat([
    ...[u32(0), u32(eventType.noAction), Buffer.alloc(20), sized(header)],
    ...events.flatMap((event) => writeEvent(event, banks)),
  ]);
}

function writeEvent({ pcr, type, data, measured }: MadeEvent, banks: readonly HashName[]): Buffer[] {
  const digests = banks.flatMap((bank) => [u16(hashByName(bank).id), digest(bank, measured)]);
  return [u32(pcr), u32(type), u32(banks.length), ...digests.map((part) => Buffer.from(part)), sized(data)];
}

/** Template data of `ima-sig` without a signature. */
export function imaSigData(path: string, fileSha256: Uint8Array): Buffer {
  const name = Buffer.from(`${path.replaceAll(' ', '_')}\0`);
  return Buffer.concat([sized(Buffer.concat([Buffer.from('sha256:\0'), fileSha256])), sized(name), u32(0)]);
}

/** One record of `binary_runtime_measurements`; a violation shows zeros for its digest. */
export function imaRecord(template: string, data: Uint8Array, violation = false): Buffer {
  const shown = violation ? Buffer.alloc(20) : digest('sha1', data);
  return Buffer.concat([u32(10), shown, sized(Buffer.from(template)), sized(data)]);
}

/** One record of `tpm2-measure.log`. */
export function userspaceRecord(
  measured: { readonly pcr: number; readonly text: string; readonly eventType: string },
  banks: readonly HashName[],
): Buffer {
  const { pcr, text, eventType: kind } = measured;
  const digests = banks.map((hashAlg) => ({
    hashAlg,
    digest: Buffer.from(digest(hashAlg, Buffer.from(text))).toString('hex'),
  }));
  const content = { string: text, bootId: '5f1d0e6a9b7c4d2e8f3a1b2c3d4e5f60', timestamp: 1, eventType: kind };
  return Buffer.from(`\x1e${JSON.stringify({ pcr, digests, content_type: 'systemd', content })}\n`);
}

function sized(data: Uint8Array): Buffer {
  return Buffer.concat([u32(data.length), data]);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u16(value: number): Buffer {
  return u32(value).subarray(0, 2);
}
