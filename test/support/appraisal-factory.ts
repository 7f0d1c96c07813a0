/** A host that shows what it should, and policies that accept it. */
import type {
  AcceptNext,
  MeasurementPolicy,
  ReferenceSet,
  ResolvedPolicy,
  RuntimeRule,
  SecureBootRule,
} from '../../src/measure/policy/model.js';
import { bootEvents, COMMAND_LINE, globalVariable, ukiSections } from './appraisal-boot.js';
import { file, type MadeHost, sha256 } from './appraisal-host.js';
import { record } from './userspace-log-factory.js';

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

export const userspaceRecords = [
  record(11, 'enter-initrd'),
  record(11, 'leave-initrd'),
  record(11, 'sysinit'),
  record(15, 'machine-id:0123', 'machine-id'),
  record(11, 'ready'),
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
