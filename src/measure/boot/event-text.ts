import { asBuffer } from '../as-buffer.js';
import { pathText } from '../path-text.js';
import type { BootEvent } from './boot-log.js';
import { eventType } from './event-types.js';

const MAX_TEXT = 160;
const VARIABLE_HEADER = 32;
/** Of UEFI_IMAGE_LOAD_EVENT: location, length and link address before the device path. */
const IMAGE_HEADER = 32;
const FILE_PATH_NODE = [4, 4] as const;

/** Types whose data is text, by their own account. */
const texts: ReadonlySet<number> = new Set([
  eventType.action,
  eventType.efiAction,
  eventType.ipl,
  eventType.crtmVersion,
  eventType.postCode,
  eventType.omitBootDeviceEvents,
]);
const variables: ReadonlySet<number> = new Set([
  eventType.efiVariableDriverConfig,
  eventType.efiVariableBoot,
  eventType.efiVariableBoot2,
  eventType.efiVariableAuthority,
]);
const images: ReadonlySet<number> = new Set([
  eventType.efiBootServicesApplication,
  eventType.efiBootServicesDriver,
  eventType.efiRuntimeServicesDriver,
]);

/**
 * What an event says of itself, on one line and without control characters; empty where its data is no text. Nobody
 * vouches for it: a policy looks at digests.
 */
export function bootEventText({ type, data }: BootEvent): string {
  const text = textOf(type, asBuffer(data));
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
}

function textOf(type: number, data: Buffer): string {
  if (variables.has(type)) return variableName(data);
  if (images.has(type)) return imagePath(data);
  if (type === eventType.separator) return data.toString('hex', 0, 4);
  if (!texts.has(type)) return '';
  return readable(data);
}

function variableName(data: Buffer): string {
  if (data.length < VARIABLE_HEADER) return '';
  const characters = Number(data.readBigUInt64LE(16) & 0xffffn);
  return utf16(data.subarray(VARIABLE_HEADER, VARIABLE_HEADER + characters * 2));
}

/** The file that the device path ends with. */
function imagePath(data: Buffer): string {
  for (let at = IMAGE_HEADER; at + 4 <= data.length; ) {
    const length = data.readUInt16LE(at + 2);
    if (length < 4 || at + length > data.length) return '';
    if (data[at] === FILE_PATH_NODE[0] && data[at + 1] === FILE_PATH_NODE[1])
      return utf16(data.subarray(at + 4, at + length));
    at += length;
  }
  return '';
}

/** UTF-16 where every other byte is zero, as firmware and systemd's stub write it; bytes otherwise. */
function readable(data: Buffer): string {
  const wide = data.length >= 2 && data.length % 2 === 0 && data[0] !== 0 && data[1] === 0;
  return wide ? utf16(data) : pathText(untilNul(data));
}

function utf16(data: Buffer): string {
  const text = data.toString('utf16le', 0, data.length & ~1);
  const nul = text.indexOf('\0');
  return pathText(Buffer.from(nul < 0 ? text : text.slice(0, nul)));
}

function untilNul(data: Buffer): Buffer {
  const nul = data.indexOf(0);
  return nul < 0 ? data : data.subarray(0, nul);
}
