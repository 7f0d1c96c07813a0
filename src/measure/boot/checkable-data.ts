import { timingSafeEqual } from 'node:crypto';
import { digest, isHashName } from '../../tpm/algorithms.js';
import type { BootEvent } from './boot-log.js';
import { eventType } from './event-types.js';

const VARIABLE_HEADER = 32;
const grubPrefixes = ['grub_cmd: ', 'kernel_cmdline: '];
/** What the error separator measures instead of its data. */
const separatorError = Uint8Array.of(0, 0, 0, 1);

/**
 * What the digest of an event may be made of when its data is what was measured, or undefined where the specification has
 * something else measured (code, files, tables) and the data is only a label.
 */
function measuredForms({ type, data, pcr }: BootEvent): Uint8Array[] | undefined {
  switch (type) {
    case eventType.crtmVersion:
    case eventType.efiAction:
    case eventType.efiGptEvent:
    case eventType.efiVariableDriverConfig:
      return [data];
    case eventType.separator:
      return [data, separatorError];
    case eventType.efiVariableAuthority:
      return isShimVariable(data) ? [data, data.subarray(0, -1)] : [data];
    case eventType.efiVariableBoot:
    case eventType.efiVariableBoot2:
      return [data, variableValue(data)];
    case eventType.ipl:
      return pcr === 8 ? grubForm(data) : undefined;
    default:
      return undefined;
  }
}

/** The banks in which the digest is not of the data, though the type says that it is. */
export function mismatchingBanks(event: BootEvent): string[] {
  const forms = measuredForms(event);
  if (!forms) return [];
  return [...event.digests]
    .filter(([bank, value]) => isHashName(bank) && !forms.some((form) => hashesTo(bank, form, value)))
    .map(([bank]) => bank);
}

/** Firmware that fails says so by measuring 00000001, whatever its data tells. */
export function isErrorSeparator({ type, digests }: BootEvent): boolean {
  if (type !== eventType.separator) return false;
  return [...digests].some(([bank, value]) => hashesTo(bank, separatorError, value));
}

function hashesTo(bank: string, form: Uint8Array, value: Uint8Array): boolean {
  if (!isHashName(bank)) return false;
  return timingSafeEqual(digest(bank, form), value);
}

/** The value inside UEFI_VARIABLE_DATA: some firmware measures boot variables without their name. Empty if there is none. */
function variableValue(data: Uint8Array): Uint8Array {
  const [name, value] = variableLengths(data);
  const start = BigInt(VARIABLE_HEADER) + name * 2n;
  if (start + value > BigInt(data.length)) return new Uint8Array();
  return data.subarray(Number(start), Number(start + value));
}

/** Shim logs its own certificate with one byte more than it measured. */
function isShimVariable(data: Uint8Array): boolean {
  const [name] = variableLengths(data);
  if (name !== 4n) return false;
  return Buffer.from(data).toString('utf16le', VARIABLE_HEADER, VARIABLE_HEADER + 8) === 'Shim';
}

/** UnicodeNameLength (in characters) and VariableDataLength (in bytes), after the 16 bytes of the GUID. */
function variableLengths(data: Uint8Array): [bigint, bigint] {
  if (data.length < VARIABLE_HEADER) return [0n, 0n];
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  return [view.getBigUint64(16, true), view.getBigUint64(24, true)];
}

/** GRUB measures what follows the prefix, without the NUL at its end. */
function grubForm(data: Uint8Array): Uint8Array[] | undefined {
  const text = Buffer.from(data);
  const prefix = grubPrefixes.find((known) => text.subarray(0, known.length).equals(Buffer.from(known)));
  if (prefix === undefined) return undefined;
  const end = text[text.length - 1] === 0 ? text.length - 1 : text.length;
  return [text.subarray(prefix.length, end)];
}
