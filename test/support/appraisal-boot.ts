/** Events of a boot log as UEFI firmware with Secure Boot on, systemd-stub and the kernel write them. */
import { eventType } from '../../src/measure/boot/event-types.js';
import { type MadeEvent, separators, variable } from './boot-log-factory.js';

export const COMMAND_LINE = 'root=/dev/vda2 ro ima_policy=tcb quiet';
export const ukiSections = [
  { name: '.linux', content: 'kernel image' },
  { name: '.osrel', content: 'ID=debian' },
  { name: '.cmdline', content: COMMAND_LINE },
  { name: '.initrd', content: 'initrd' },
] as const;

const GLOBAL = Buffer.from('61dfe48bca93d211aa0d00e098032b8c', 'hex');
const SECURITY = Buffer.from('cbb219d73a3d9645a3bcdad00e67656f', 'hex');
const SHIM = Buffer.from('50ab5d6046e00043abb63dd810dd8b23', 'hex');
const X509_LIST = Buffer.from('a159c0a5e494a74a87b5ab155c2bf072', 'hex');
const SHA256_LIST = Buffer.from('2616c4c14c509240aca941f936934328', 'hex');
const OWNER = Buffer.alloc(16, 7);

function withGuid(guid: Buffer, name: string, value: string | Uint8Array): Buffer {
  const bytes = variable(name, value);
  guid.copy(bytes);
  return bytes;
}

export const globalVariable = (name: string, value: string | Uint8Array) => withGuid(GLOBAL, name, value);
export const securityVariable = (name: string, value: string | Uint8Array) => withGuid(SECURITY, name, value);
export const shimVariable = (name: string, value: string | Uint8Array) => withGuid(SHIM, name, value);

/** EFI_SIGNATURE_LIST of certificates, or of SHA-256 values when they have 32 bytes. */
export function signatureList(...entries: readonly (string | Uint8Array)[]): Buffer {
  const lists = entries.map((one) => {
    const data = Buffer.from(one);
    const head = Buffer.alloc(28);
    (data.length === 32 ? SHA256_LIST : X509_LIST).copy(head);
    head.writeUInt32LE(28 + 16 + data.length, 16);
    head.writeUInt32LE(16 + data.length, 24);
    return Buffer.concat([head, OWNER, data]);
  });
  return Buffer.concat(lists);
}

export const authority = (data: string | Uint8Array) => Buffer.concat([OWNER, Buffer.from(data)]);

export const configuration = (data: Uint8Array): MadeEvent => ({
  pcr: 7,
  type: eventType.efiVariableDriverConfig,
  data,
});
export const authorised = (data: Uint8Array): MadeEvent => ({
  pcr: 7,
  type: eventType.efiVariableAuthority,
  data,
});

export const secureBootVariables: readonly MadeEvent[] = [
  configuration(globalVariable('SecureBoot', Uint8Array.of(1))),
  configuration(globalVariable('PK', signatureList('platform key'))),
  configuration(globalVariable('KEK', signatureList('exchange key'))),
  configuration(securityVariable('db', signatureList('vendor certificate', 'own certificate'))),
  configuration(securityVariable('dbx', signatureList(Buffer.alloc(32, 1), Buffer.alloc(32, 2)))),
];

export const image = (content: string, data = 'path'): MadeEvent => ({
  pcr: 4,
  type: eventType.efiBootServicesApplication,
  data,
  measured: content,
});

export const action = (pcr: number, data: string): MadeEvent => ({ pcr, type: eventType.efiAction, data });

const tag = (id: number, data: string) => {
  const bytes = Buffer.alloc(8 + data.length);
  bytes.writeUInt32LE(id);
  bytes.writeUInt32LE(data.length, 4);
  bytes.write(data, 8, 'latin1');
  return bytes;
};

/** What the kernel's own stub measures into PCR 9. */
export const loadOptions = (line: string): MadeEvent => ({
  pcr: 9,
  type: eventType.eventTag,
  data: tag(0x8f3b22ed, 'LOADED_IMAGE::LoadOptions\0'),
  measured: Buffer.from(`${line}\0`, 'utf16le'),
});
export const initrd = (content: string): MadeEvent => ({
  pcr: 9,
  type: eventType.eventTag,
  data: tag(0x8f3b22ec, 'Linux initrd\0'),
  measured: content,
});

export function sectionEvents(sections: readonly { name: string; content: string }[]): MadeEvent[] {
  return sections.flatMap(({ name, content }) => {
    const data = Buffer.from(`${name}\0`, 'utf16le');
    return [
      { pcr: 11, type: eventType.ipl, data, measured: `${name}\0` },
      { pcr: 11, type: eventType.ipl, data, measured: content },
    ];
  });
}

export const bootEvents: readonly MadeEvent[] = [
  { pcr: 0, type: eventType.crtmVersion, data: 'v1' },
  { pcr: 0, type: eventType.efiPlatformFirmwareBlob, data: 'blob', measured: 'firmware volume' },
  ...secureBootVariables,
  ...separators('00000000', [7]),
  { pcr: 2, type: eventType.efiBootServicesDriver, data: 'path', measured: 'option rom' },
  { pcr: 1, type: eventType.efiVariableBoot, data: globalVariable('BootOrder', '\x01\x00') },
  action(4, 'Calling EFI Application from Boot Option'),
  ...separators('00000000', [0, 1, 2, 3, 4, 5, 6]),
  authorised(securityVariable('db', authority('own certificate'))),
  image('unified image'),
  ...sectionEvents(ukiSections),
  image('kernel image pe'),
  loadOptions(COMMAND_LINE),
  initrd('initrd'),
  action(5, 'Exit Boot Services Invocation'),
];
