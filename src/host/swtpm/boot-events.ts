import { eventType } from '../../measure/boot/event-types.js';
import { digest } from '../../tpm/algorithms.js';

/** What a made host shall have booted. Everything has a default: a healthy host with a UKI and Secure Boot on. */
export interface MadeBoot {
  readonly firmwareVersion?: string;
  readonly secureBoot?: boolean;
  /** Stands for the UKI: the hash of these bytes takes the place of its Authenticode hash. */
  readonly image?: string;
  readonly kernel?: string;
  readonly initrd?: string;
  /** Of the UKI's own `.cmdline`. */
  readonly commandLine?: string;
  /** Given by the boot loader on top of it: measured into PCR 12. */
  readonly addedCommandLine?: string;
}

/** One event that extends a PCR by the hash of `measured`. */
export interface MadeEvent {
  readonly pcr: number;
  readonly type: number;
  readonly data: Uint8Array;
  readonly measured: Uint8Array;
}

export const defaultCommandLine =
  'console=ttyS0 root=/dev/mapper/root ro ima_policy=tcb ima_hash=sha256 ima_template=ima-sig';

const global = Buffer.from('61dfe48bca93d211aa0d00e098032b8c', 'hex');
const imageSecurity = Buffer.from('cbb219d73a3d9645a3bcdad00e67656f', 'hex');
/** EFI_CERT_SHA256_GUID. */
const sha256List = Buffer.from('2616c4c14c509240aca941f936934328', 'hex');
const owner = Buffer.from('77fa9abd0359324dbd6028f4e78f784b', 'hex');

/** The events of one boot in the order in which OVMF, systemd-stub and the kernel's stub log them. */
export function bootEvents(boot: MadeBoot = {}): MadeEvent[] {
  const { firmwareVersion = 'touchmark-dev 1.0', secureBoot = true, image = 'touchmark-dev UKI' } = boot;
  const { kernel = 'touchmark-dev kernel', commandLine = defaultCommandLine, addedCommandLine } = boot;
  return [
    event(0, eventType.crtmVersion, utf16(firmwareVersion)),
    blob(0x000e0000, firmwareVersion),
    ...secureBootEvents(secureBoot, image),
    event(1, eventType.efiVariableBoot, variable(global, 'BootOrder', Buffer.from([0, 0]))),
    event(4, eventType.efiAction, ascii('Calling EFI Application from Boot Option')),
    ...[0, 1, 2, 3, 4, 5, 6].map((pcr) => separator(pcr)),
    ...(secureBoot ? [authority(image)] : []),
    application(image),
    ...stubEvents(boot),
    ...(addedCommandLine === undefined
      ? []
      : [event(12, eventType.ipl, utf16(addedCommandLine), utf16(addedCommandLine).subarray(0, -2))]),
    application(kernel),
    tagged(0x8f3b22ed, 'LOADED_IMAGE::LoadOptions', utf16(addedCommandLine ?? commandLine)),
    tagged(0x8f3b22ec, 'Linux initrd', ascii(boot.initrd ?? 'touchmark-dev initrd')),
    event(5, eventType.efiAction, ascii('Exit Boot Services Invocation')),
    event(5, eventType.efiAction, ascii('Exit Boot Services Returned with Success')),
  ];
}

/** systemd-stub: for each section its name and its content, with the name as data of both. */
function stubEvents({ kernel, commandLine, initrd }: MadeBoot): MadeEvent[] {
  const sections = [
    ['.linux', kernel ?? 'touchmark-dev kernel'],
    ['.osrel', 'ID=touchmark-dev\n'],
    ['.cmdline', commandLine ?? defaultCommandLine],
    ['.initrd', initrd ?? 'touchmark-dev initrd'],
  ] as const;
  return sections.flatMap(([name, content]) => [
    event(11, eventType.ipl, utf16(name), ascii(`${name}\0`)),
    event(11, eventType.ipl, utf16(name), ascii(content)),
  ]);
}

function secureBootEvents(on: boolean, image: string): MadeEvent[] {
  const config = (guid: Buffer, name: string, value: Buffer) =>
    event(7, eventType.efiVariableDriverConfig, variable(guid, name, value));
  return [
    config(global, 'SecureBoot', Buffer.from([on ? 1 : 0])),
    config(global, 'PK', signatureList(['touchmark-dev platform key'])),
    config(global, 'KEK', signatureList(['touchmark-dev key exchange key'])),
    config(imageSecurity, 'db', signatureList([image])),
    config(imageSecurity, 'dbx', signatureList(['revoked loader 1', 'revoked loader 2'])),
    separator(7),
  ];
}

/** The entry of db that let the image run. */
function authority(image: string): MadeEvent {
  return event(7, eventType.efiVariableAuthority, variable(imageSecurity, 'db', signature(image)));
}

/** UEFI_PLATFORM_FIRMWARE_BLOB: an address and a length; what is measured is the volume itself. */
function blob(address: number, volume: string): MadeEvent {
  const data = Buffer.concat([u64(address), u64(0xc000)]);
  return event(0, eventType.efiPlatformFirmwareBlob, data, ascii(volume));
}

/** UEFI_IMAGE_LOAD_EVENT with a device path that only ends. */
function application(image: string): MadeEvent {
  const path = Buffer.from('7fff0400', 'hex');
  const data = Buffer.concat([u64(0x3d6a1018), u64(image.length), u64(0), u64(path.length), path]);
  return event(4, eventType.efiBootServicesApplication, data, ascii(image));
}

function tagged(tag: number, label: string, measured: Uint8Array): MadeEvent {
  const text = ascii(`${label}\0`);
  return event(9, eventType.eventTag, Buffer.concat([u32(tag), u32(text.length), text]), measured);
}

function separator(pcr: number): MadeEvent {
  return event(pcr, eventType.separator, Buffer.alloc(4));
}

function event(pcr: number, type: number, data: Uint8Array, measured: Uint8Array = data): MadeEvent {
  return { pcr, type, data, measured };
}

/** UEFI_VARIABLE_DATA. */
function variable(guid: Buffer, name: string, value: Buffer): Buffer {
  const unicode = Buffer.from(name, 'utf16le');
  return Buffer.concat([guid, u64(name.length), u64(value.length), unicode, value]);
}

/** EFI_SIGNATURE_LIST of SHA-256 hashes. */
function signatureList(hashed: readonly string[]): Buffer {
  const signatures = Buffer.concat(hashed.map((text) => signature(text)));
  return Buffer.concat([sha256List, u32(28 + signatures.length), u32(0), u32(48), signatures]);
}

function signature(hashed: string): Buffer {
  return Buffer.concat([owner, digest('sha256', ascii(hashed))]);
}

function ascii(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

/** With the terminating NUL. */
function utf16(text: string): Buffer {
  return Buffer.from(`${text}\0`, 'utf16le');
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}
