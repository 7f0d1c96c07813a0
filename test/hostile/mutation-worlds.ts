/** Hosts of several kinds, each with a policy that trusts it, and the same hosts with something in them that it does not. */
import { eventType } from '../../src/measure/boot/event-types.js';
import type { ResolvedPolicy } from '../../src/measure/policy/model.js';
import {
  authorised,
  authority,
  bootEvents,
  COMMAND_LINE,
  globalVariable,
  image,
  initrd,
  loadOptions,
  secureBootVariables,
  securityVariable,
} from '../support/appraisal-boot.js';
import { allRules, goodHost, goodReferences, imaFiles, resolved } from '../support/appraisal-factory.js';
import {
  buffer,
  file,
  type MadeHost,
  type MeasuredHost,
  measure,
  sha256,
  violation,
} from '../support/appraisal-host.js';
import { locality, type MadeEvent, separators } from '../support/boot-log-factory.js';

export interface World {
  readonly name: string;
  readonly policy: ResolvedPolicy;
  readonly host: MeasuredHost;
  /** Entries and records that the quote covers; the others came later. */
  readonly entries: number;
  readonly records: number;
  /** Registers of the boot log that rules with consequences judge. */
  readonly pcrs: readonly number[];
  /** Whether what runs has consequences. */
  readonly runtime: boolean;
  /** Honest registers, and something in them that is not accepted. */
  readonly evil: readonly MeasuredHost[];
}

const tools = Array.from({ length: 12 }, (_, n) => `/usr/bin/tool-${n}`);
const ima = [...imaFiles, violation('/var/log/x'), ...tools.map((path) => file(path))];
const files = [...goodReferences.files, ...tools.map((path) => ({ digest: sha256(path), path }))];
const firmwareConfig = { ...allRules.firmwareConfig, onFail: 'drift' } as const;
const runtime = { ...allRules.runtime, violations: 'ignore' } as const;

const evilLine = 'root=/dev/vda2 ro ima_policy=tcb init=/bin/sh';
const evilStub = { pcr: 12, type: eventType.ipl, data: Buffer.from(`${evilLine}\0`, 'utf16le') };
const evilGrub = {
  pcr: 8,
  type: eventType.ipl,
  data: `kernel_cmdline: /vmlinuz ${evilLine}`,
  measured: `/vmlinuz ${evilLine}`,
};
const evilFile = file('/usr/bin/evil');
const evilKexec = buffer('kexec-cmdline', evilLine);

function worldOf(
  world: Pick<World, 'name' | 'policy' | 'pcrs'>,
  host: MadeHost,
  evil: readonly Partial<MadeHost>[],
): World {
  const [entries, records] = [14, Math.min(host.userspace.length, 4)];
  return {
    ...world,
    ...{ entries, records, runtime: world.policy.policy.runtime?.onFail === 'drift' },
    host: measure({ ...host, quotedEntries: entries, quotedRecords: records }),
    evil: evil.map((change) => measure({ ...host, ...change })),
  };
}

const sealedHost: MadeHost = { ...goodHost, ima };

/** A unified image, and rules for all there is. Registers 5 and 6 (partitions, the platform's own) are judged by none. */
const sealed = worldOf(
  {
    name: 'a unified image, every rule',
    policy: resolved({ ...allRules, firmwareConfig, runtime }, [{ ...goodReferences, files }]),
    pcrs: [0, 1, 2, 3, 4, 7, 8, 9, 11, 12, 13, 14, 15],
  },
  sealedHost,
  [
    { boot: [...bootEvents, image('evil image')] },
    { boot: [...bootEvents, evilStub] },
    { ima: [...ima, evilFile] },
    { ima: [...ima, evilKexec] },
  ],
);

const GRUB_LINE = '/vmlinuz root=/dev/vda2 ro ima_policy=tcb quiet';
const KEXEC_LINE = 'root=/dev/vda2 ro ima_policy=tcb crashkernel=256M';
const grub = (prefix: string, text: string): MadeEvent => ({
  pcr: 8,
  type: eventType.ipl,
  data: `${prefix}: ${text}\0`,
  measured: text,
});
const loaded = (pcr: number, path: string, content: string): MadeEvent => ({
  pcr,
  type: eventType.ipl,
  data: `${path}\0`,
  measured: content,
});
const grubBoot: readonly MadeEvent[] = [
  locality(3),
  { pcr: 0, type: eventType.crtmVersion, data: 'v1' },
  { pcr: 0, type: eventType.efiPlatformFirmwareBlob, data: 'blob', measured: 'firmware volume' },
  ...secureBootVariables,
  ...separators('00000000', [7]),
  { pcr: 1, type: eventType.efiVariableBoot, data: globalVariable('BootOrder', '\x01\x00') },
  { pcr: 2, type: eventType.efiBootServicesDriver, data: 'path', measured: 'option rom' },
  ...separators('00000000', [0, 1, 2, 3, 4, 5, 6]),
  authorised(securityVariable('db', authority('own certificate'))),
  image('shim'),
  loaded(14, 'MokList', 'keys of the owner'),
  image('grub'),
  loaded(9, '/boot/grub/grub.cfg', 'configuration'),
  grub('grub_cmd', 'search --set=root --label system'),
  grub('grub_cmd', `linux ${GRUB_LINE}`),
  loaded(9, '/vmlinuz', 'kernel'),
  grub('kernel_cmdline', GRUB_LINE),
  grub('grub_cmd', 'initrd /initrd.img'),
  loaded(9, '/initrd.img', 'initrd'),
  image('kernel'),
  loadOptions(`BOOT_IMAGE=${GRUB_LINE}`),
  initrd('initrd'),
];
const named = (...data: readonly string[]) => data.map((one) => ({ digest: sha256(one), label: '' }));
const grubHost: MadeHost = {
  startup: 3,
  boot: grubBoot,
  userspace: [],
  ima: [...ima.slice(0, 8), buffer('kexec-cmdline', KEXEC_LINE), ...ima.slice(8)],
};

/** GRUB and a kernel with a stub, another kernel made ready for kexec; what runs is only warned of. */
const booted = worldOf(
  {
    name: 'GRUB, kexec allowed, run-time at warn',
    policy: resolved(
      {
        firmware: allRules.firmware,
        firmwareConfig,
        secureBoot: allRules.secureBoot,
        bootChain: { ...allRules.bootChain, kexec: true },
        commandLine: { ...allRules.commandLine, accept: [KEXEC_LINE] },
        runtime: { ...runtime, onFail: 'warn' },
      },
      [
        {
          ...goodReferences,
          ukis: [],
          files,
          bootChain: named(
            ...['shim', 'grub', 'kernel', 'keys of the owner', 'configuration', 'initrd'],
            ...['search --set=root --label system', `linux ${GRUB_LINE}`, 'initrd /initrd.img'],
          ),
          commandLines: [GRUB_LINE],
        },
      ],
    ),
    pcrs: [0, 1, 2, 3, 4, 7, 8, 9, 11, 12, 13, 14],
  },
  grubHost,
  [
    { boot: [...grubBoot, evilGrub] },
    { boot: [...grubBoot, image('evil image')] },
    { ima: [...grubHost.ima, evilKexec] },
  ],
);

const measuredRoot: MadeEvent = { pcr: 0, type: eventType.efiHcrtmEvent, data: 'HCRTM', measured: 'code' };
const hcrtmHost: MadeHost = {
  startup: 4,
  boot: [measuredRoot, ...bootEvents],
  userspace: goodHost.userspace,
  ima,
};

/** Measured by the processor before anything else; what was booted is only warned of, and nobody asks what runs. */
const rooted = worldOf(
  {
    name: 'an H-CRTM, boot chain at warn, no run-time',
    policy: resolved(
      {
        firmware: allRules.firmware,
        firmwareConfig,
        secureBoot: allRules.secureBoot,
        bootChain: { ...allRules.bootChain, onFail: 'warn' },
        commandLine: { ...allRules.commandLine, accept: [COMMAND_LINE] },
        userspace: { ...allRules.userspace, onFail: 'drift' },
      },
      [{ ...goodReferences, firmware: [...goodReferences.firmware, ...named('code')] }],
    ),
    pcrs: [0, 1, 2, 3, 7, 8, 9, 11, 12, 15],
  },
  hcrtmHost,
  [
    { boot: [...hcrtmHost.boot, evilStub] },
    { boot: [...hcrtmHost.boot, evilGrub] },
    { ima: [...ima, evilKexec] },
  ],
);

export const worlds: readonly World[] = [sealed, booted, rooted];
