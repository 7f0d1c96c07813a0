/** Hosts that measured something evil, and what whoever writes their logs may say of it. */
import { hash } from 'node:crypto';
import type { Evidence } from '../../src/measure/appraise/contract.js';
import { eventType } from '../../src/measure/boot/event-types.js';
import type { ComponentName } from '../../src/measure/policy/model.js';
import {
  authorised,
  authority,
  bootEvents,
  image,
  initrd,
  loadOptions,
  sectionEvents,
  securityVariable,
  shimVariable,
} from '../support/appraisal-boot.js';
import { goodHost, imaFiles, userspaceRecords } from '../support/appraisal-factory.js';
import {
  absent,
  buffer,
  entry,
  file,
  type MadeEntry,
  type MadeHost,
  type MeasuredHost,
  measure,
  whole,
} from '../support/appraisal-host.js';
import { agileLog, type MadeEvent } from '../support/boot-log-factory.js';
import { sigData } from '../support/ima-list.js';
import { record, userspaceLog } from '../support/userspace-log-factory.js';

type MadeRecord = ReturnType<typeof record>;

/** What a host measured beside what is good. */
export interface Evil {
  readonly name: string;
  /** Who is to find it; others may, for what it could be. */
  readonly concerns: readonly ComponentName[];
  /** Instead of the good ones. */
  readonly base?: readonly MadeEvent[];
  /** At the end of the boot. */
  readonly boot?: readonly MadeEvent[];
  /** Before the good records. */
  readonly userspace?: readonly MadeRecord[];
  /** After the good files. */
  readonly ima?: readonly MadeEntry[];
}

export const GRUB_LINE = '/boot/vmlinuz root=/dev/vda2 ro ima_policy=tcb quiet';
const grub = (text: string): MadeEvent => ({
  pcr: 8,
  type: eventType.ipl,
  data: `kernel_cmdline: ${text}\0`,
  measured: text,
});
const stub = (text: string): MadeEvent => ({
  pcr: 12,
  type: eventType.ipl,
  data: Buffer.from(`${text}\0`, 'utf16le'),
});
const grubBoot = [...bootEvents.filter(({ pcr }) => ![9, 11].includes(pcr)), grub(GRUB_LINE)];
const again = file('boot_aggregate', 'another kernel');
const kexecLine = buffer('kexec-cmdline', '/var/log/x root=/dev/evil init=/bin/sh');
const xattr = (text: string) => Buffer.from(text, 'latin1');

export const evils: readonly Evil[] = [
  { name: 'an image', concerns: ['boot-chain'], boot: [image('evil image'), image('evil kernel')] },
  { name: 'sections', concerns: ['boot-chain'], boot: sectionEvents([{ name: '.linux', content: 'evil' }]) },
  {
    name: 'an embedded line',
    concerns: ['boot-chain', 'command-line', 'runtime'],
    boot: sectionEvents([{ name: '.cmdline', content: 'init=/bin/sh' }]),
  },
  { name: 'an initrd', concerns: ['boot-chain'], boot: [initrd('evil initrd')] },
  {
    name: 'a line of the stub',
    concerns: ['boot-chain', 'command-line', 'runtime'],
    boot: [stub('init=/bin/sh')],
  },
  {
    name: 'load options',
    concerns: ['boot-chain', 'command-line', 'runtime'],
    boot: [loadOptions('init=/bin/sh')],
  },
  {
    name: 'a line everywhere',
    concerns: ['boot-chain', 'command-line', 'runtime'],
    boot: [stub('init=/bin/sh'), loadOptions('init=/bin/sh')],
  },
  {
    name: 'a system extension',
    concerns: ['boot-chain'],
    boot: [{ pcr: 13, type: eventType.ipl, data: 'evil extension' }],
  },
  {
    name: 'an authority',
    concerns: ['secure-boot'],
    boot: [authorised(securityVariable('db', authority('evil')))],
  },
  {
    name: 'firmware',
    concerns: ['firmware'],
    boot: [{ pcr: 0, type: eventType.efiPlatformFirmwareBlob, data: 'evil' }],
  },
  {
    name: 'a line of GRUB',
    concerns: ['boot-chain', 'command-line', 'runtime'],
    base: grubBoot,
    boot: [grub('/boot/vmlinuz init=/bin/sh')],
  },
  {
    name: 'a file system',
    concerns: ['userspace'],
    userspace: [record(15, 'file-system:/:evil', 'file-system')],
  },
  { name: 'a phase', concerns: ['userspace'], userspace: [record(11, 'evil phase')] },
  {
    name: 'something in PCR 9',
    concerns: ['userspace', 'boot-chain'],
    userspace: [record(9, 'evil record')],
  },
  { name: 'a file', concerns: ['runtime'], ima: [file('/usr/bin/evil')] },
  {
    name: 'a file with a chosen attribute',
    concerns: ['runtime'],
    ima: [file('/usr/bin/evil', 'evil', xattr('\x03/excluded/x\0'))],
  },
  { name: 'rules for IMA', concerns: ['runtime'], ima: [file('/etc/ima/ima-policy', 'dont_measure')] },
  { name: 'a key', concerns: ['runtime'], ima: [buffer('.ima', 'evil certificate')] },
  { name: 'the agent changed', concerns: ['runtime'], ima: [file('/usr/lib/touchmark/plugin.js', 'evil')] },
  { name: 'a kernel for kexec', concerns: ['boot-chain', 'command-line', 'runtime'], ima: [kexecLine] },
  {
    name: 'a kernel started by kexec',
    concerns: ['boot-chain', 'command-line', 'runtime'],
    ima: [kexecLine, again],
  },
  {
    name: 'a kernel started by kexec without a line',
    concerns: ['boot-chain', 'command-line', 'runtime'],
    ima: [again],
  },
];

export function evilHost({ base = bootEvents, boot = [], userspace = [], ima = [] }: Evil): MadeHost {
  return {
    ...goodHost,
    boot: [...base, ...boot],
    userspace: [...userspace, ...userspaceRecords],
    ima: [...imaFiles, ...ima],
  };
}

export interface Lie {
  readonly name: string;
  readonly logs: Partial<Evidence['logs']>;
}

const templates = [
  ...['ima', 'ima-ng', 'ima-sig', 'ima-buf', 'ima-ngv2', 'ima-sigv2', 'ima-modsig', 'x', 'evm-sig'],
  ...['d-ng|n-ng', 'd-ng|n-ng|buf', 'd-ng|n-ng|modsig', 'd-ng|modsig|n', 'd-ng|modsig|n-ng', 'd-ng|sig|n-ng'],
  ...['d-ng|n-ng|n', 'd-ng|n-ng|n-ng', 'd-ng|buf|n', 'modsig|n-ng|n', 'd-ng|n-ng|d-modsig', 'n-ng|d-ng|sig'],
];

/** Everything that can be said of the evil part alone: the registers stay what the chip holds. */
export function* lies(evil: Evil, measured: MeasuredHost): Generator<Lie> {
  const { base = bootEvents, boot = [], userspace = [], ima = [] } = evil;
  yield { name: 'the truth', logs: {} };
  for (const log of ['boot-log', 'userspace-log', 'ima-list'] as const)
    yield { name: `no ${log}`, logs: { [log]: absent } };
  if (boot.length > 0) yield* liesOfEvents(base, boot, userspace);
  if (userspace.length > 0) yield* liesOfRecords(base, userspace);
  if (ima.length > 0) yield* liesOfEntries(base, ima, measured);
}

const boots = (events: readonly MadeEvent[]) => ({ 'boot-log': whole(agileLog(events)) });
const records = (rows: readonly object[]) => ({
  'userspace-log': whole(userspaceLog(...rows, ...userspaceRecords)),
});

function* liesOfEvents(
  base: readonly MadeEvent[],
  evil: readonly MadeEvent[],
  userspace: readonly MadeRecord[],
): Generator<Lie> {
  const options = loadOptions('').data ?? '';
  const labels: [string, number, string | Uint8Array][] = [
    ['an action', eventType.action, 'x'],
    ['an action of EFI', eventType.efiAction, 'x'],
    ['load options', eventType.eventTag, options],
    ['an initrd', eventType.eventTag, initrd('').data ?? ''],
    ['a variable', eventType.efiVariableDriverConfig, shimVariable('x', 'y')],
    ['an unknown type', 0x7777, 'x'],
    ['a separator', eventType.separator, Buffer.alloc(4)],
    ['no action', eventType.noAction, 'x'],
  ];
  for (const [label, type, data] of labels) {
    const relabelled = evil.map((event) => ({
      ...event,
      type,
      data,
      measured: event.measured ?? event.data ?? '',
    }));
    yield { name: `called ${label}`, logs: boots([...base, ...relabelled]) };
  }
  const asRecord = ({ pcr, data = '', measured = data }: MadeEvent, content: object) => ({
    ...{ pcr, content_type: 'systemd', content },
    digests: [{ hashAlg: 'sha256', digest: hash('sha256', Buffer.from(measured), 'hex') }],
  });
  const contents: [string, (event: MadeEvent) => object][] = [
    ['bare', () => ({})],
    ['with its text', ({ data = '', measured = data }) => ({ string: Buffer.from(measured).toString() })],
    ['with an accepted text', () => ({ string: 'ready', eventType: 'phase' })],
    ['as a key', () => ({ string: 'machine-id:0123', eventType: 'volume-key' })],
  ];
  for (const [how, content] of contents) {
    const moved = evil.map((event) => asRecord(event, content(event)));
    yield {
      name: `moved into the userspace log ${how}`,
      logs: { ...boots(base), ...records([...moved, ...userspace]) },
    };
  }
  yield { name: 'left out', logs: boots(base) };
}

function* liesOfRecords(base: readonly MadeEvent[], evil: readonly MadeRecord[]): Generator<Lie> {
  const contents: [string, object][] = [
    ['bare', {}],
    ['as a key', { string: 'machine-id:0123', eventType: 'volume-key' }],
    ['as a phase', { string: 'ready', eventType: 'phase' }],
  ];
  for (const [how, content] of contents)
    yield { name: how, logs: records(evil.map((one) => ({ ...one, content }))) };
  const inNv = evil.map(({ pcr: _, ...one }) => ({ ...one, nv_index: 0x01d10200 }));
  yield { name: 'as measured into an NV index', logs: records(inNv) };
  const moved = evil.map(({ pcr, content }) => ({ pcr, type: eventType.ipl, data: content.string }));
  const inUtf16 = evil.map(({ pcr, content }) => ({
    pcr,
    type: eventType.eventTag,
    data: loadOptions('').data ?? '',
    measured: content.string,
  }));
  yield { name: 'moved into the boot log', logs: { ...boots([...base, ...moved]), ...records([]) } };
  yield {
    name: 'moved into the boot log as load options',
    logs: { ...boots([...base, ...inUtf16]), ...records([]) },
  };
}

function* liesOfEntries(
  base: readonly MadeEvent[],
  evil: readonly MadeEntry[],
  { entries }: MeasuredHost,
): Generator<Lie> {
  const list = (change: (one: MadeEntry) => Buffer) => ({
    'ima-list': whole(Buffer.concat(entries.map((one) => (evil.includes(one) ? change(one) : one.bytes)))),
  });
  for (const template of templates)
    yield {
      name: `under the template ${template}`,
      logs: list(({ data, pcr }) => entry(template, data ?? Buffer.alloc(0), pcr).bytes),
    };
  yield { name: 'left out', logs: list(() => Buffer.alloc(0)) };
  yield { name: 'as another file', logs: list(() => entry('ima-sig', sigData('/usr/bin/true')).bytes) };
  const extended = entries.map(({ data }) => ({
    pcr: 10,
    type: eventType.ipl,
    data: 'x',
    measured: data ?? '',
  }));
  yield { name: 'moved into the boot log', logs: { ...boots([...base, ...extended]), 'ima-list': absent } };
}

export const measured = (evil: Evil): MeasuredHost => measure(evilHost(evil));
