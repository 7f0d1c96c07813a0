/** A host that measures into registers of its own, and policies that accept it: evidence without a chip. */
import { hash } from 'node:crypto';
import type { Evidence, LogPart } from '../../src/measure/appraise/contract.js';
import { eventType } from '../../src/measure/boot/event-types.js';
import type {
  AcceptNext,
  MeasurementPolicy,
  ReferenceSet,
  ResolvedPolicy,
  RuntimeRule,
  SecureBootRule,
} from '../../src/measure/policy/model.js';
import { pcrDigest } from '../../src/tpm/pcr.js';
import { agileLog, type MadeEvent, separators, variable } from './boot-log-factory.js';
import { digestField, field, record as imaRecord, nameField, sha, sigData } from './ima-list.js';
import { userspaceLog, record as userspaceRecord } from './userspace-log-factory.js';

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
  /** Entries after boot_aggregate. */
  readonly ima: readonly MadeEntry[];
  /** How many records and entries (boot_aggregate counts) were measured when the chip quoted; the rest came later. */
  readonly quotedRecords?: number;
  readonly quotedEntries?: number;
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
  const entries = [entry('ima-sig', aggregate), ...host.ima];
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

export function referenceSet(rows: Partial<ReferenceSet> = {}): ReferenceSet {
  return {
    kind: 'ReferenceSet',
    name: 'made',
    description: '',
    source: 'test',
    includes: [],
    firmware: [],
    firmwareConfig: [],
    secureBoot: [],
    bootChain: [],
    ukis: [],
    commandLines: [],
    userspace: [],
    files: [],
    fileSigners: [],
    ...rows,
  };
}

export const secureBootRule: SecureBootRule = {
  onFail: 'drift',
  enabled: true,
  platformKeys: [],
  keyExchangeKeys: [],
  allowed: [],
  revokedAtLeast: [],
  sbatLevelAtLeast: '',
  accept: [],
};

export const runtimeRule: RuntimeRule = {
  onFail: 'drift',
  rules: { policies: [], commandLine: ['ima_policy=tcb'] },
  accept: [],
  signed: false,
  exclude: [],
  violations: 'fail',
  agentMeasured: false,
};

let made = 0;

export function resolved(
  rules: Partial<MeasurementPolicy>,
  references: readonly ReferenceSet[] = [],
  next: readonly (Pick<AcceptNext, 'from' | 'until'> & { references: readonly ReferenceSet[] })[] = [],
): ResolvedPolicy {
  const policy: MeasurementPolicy = {
    kind: 'MeasurementPolicy',
    name: 'made',
    description: '',
    mode: 'enforce',
    references: [],
    acceptNext: [],
    ...rules,
  };
  return { id: `policy-${made++}`, policy, references, next };
}

/** UEFI firmware with Secure Boot on, a unified image and its kernel, as the log of a shipped machine has them. */
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

export const userspaceRecords = [
  userspaceRecord(11, 'enter-initrd'),
  userspaceRecord(11, 'leave-initrd'),
  userspaceRecord(11, 'sysinit'),
  userspaceRecord(15, 'machine-id:0123', 'machine-id'),
  userspaceRecord(11, 'ready'),
];

export const imaFiles = ['/usr/bin/true', '/usr/lib/touchmark/agent.js', '/usr/lib/touchmark/node'].map(
  (path) => file(path),
);

export const goodHost: MadeHost = { boot: bootEvents, userspace: userspaceRecords, ima: imaFiles };

const row = (data: string | Uint8Array) => ({ digest: sha256(data), label: '' });

/** Everything that `goodHost` shows. */
export const goodReferences = referenceSet({
  firmware: [row('v1'), row('firmware volume'), row('option rom')],
  firmwareConfig: [row(globalVariable('BootOrder', '\x01\x00'))],
  ukis: [
    {
      label: 'image 1',
      image: [sha256('unified image')],
      kernel: [sha256('kernel image pe')],
      sections: ukiSections.map(({ name, content }) => ({ name, digests: [sha256(content)] })),
      commandLine: COMMAND_LINE,
    },
  ],
  files: ['/usr/bin/true', '/usr/lib/touchmark/agent.js', '/usr/lib/touchmark/node'].map((path) => ({
    digest: sha256(path),
    path,
  })),
});

export const allRules = {
  firmware: { onFail: 'drift', accept: [], ignoreTypes: [] },
  firmwareConfig: { onFail: 'warn', accept: [], ignoreTypes: [] },
  secureBoot: secureBootRule,
  bootChain: { onFail: 'drift', accept: [], kexec: false },
  commandLine: { onFail: 'drift', accept: [], require: ['ima_policy=tcb'], forbid: ['init=*'] },
  userspace: { onFail: 'suspect', accept: ['machine-id:*'] },
  runtime: { ...runtimeRule, agentMeasured: true },
} as const satisfies Partial<MeasurementPolicy>;
