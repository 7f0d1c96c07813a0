import {
  description,
  digest,
  fileDigest,
  glob,
  kind,
  list,
  mapping,
  name,
  reference,
  type Schema,
  set,
  sha256,
  time,
} from './words.js';

const onFail: Schema = {
  enum: ['drift', 'suspect', 'warn'],
  default: 'drift',
  description:
    'What follows when the component fails: identities end, end after the grace, or nothing but a warning.',
};

function rule(properties: Readonly<Record<string, Schema>>, says: string): Schema {
  return { ...mapping({ onFail, ...properties }), description: says };
}

const digests = (says: string) => set(digest, says);

const digestRule = (says: string) =>
  rule(
    {
      accept: digests('Digests of events that are accepted beside those of the reference sets.'),
      ignoreTypes: set(
        {
          type: 'string',
          pattern: '^EV_[A-Z0-9_]{1,60}$',
          description: 'the name of an event type, as EV_EFI_VARIABLE_BOOT',
        },
        'Events that are left out, by the name of their type; reported as not covered.',
        64,
      ),
    },
    says,
  );

const secureBoot = rule(
  {
    enabled: { type: 'boolean', default: true, description: 'Whether Secure Boot must be on.' },
    platformKeys: set(sha256, 'SHA-256 of the certificates that PK may hold; empty: not compared.'),
    keyExchangeKeys: set(sha256, 'SHA-256 of the certificates that KEK may hold; empty: not compared.'),
    allowed: set(sha256, 'What db may hold, and nothing else; empty: not compared.'),
    revokedAtLeast: set(sha256, 'What dbx must hold at least.'),
    sbatLevelAtLeast: {
      type: 'string',
      pattern: '^(\\d{10})?$',
      default: '',
      description: "a date of shim's SBAT level, as 2024010900; empty: not compared",
    },
    accept: digests('Digests of whole events that are accepted besides.'),
  },
  'PCR 7: Secure Boot, its keys and its lists.',
);

const runtime = rule(
  {
    rules: {
      ...mapping({
        policies: digests('Digests of IMA policy files that may be in force, as the list measured them.'),
        commandLine: set(
          {
            type: 'string',
            pattern: '^[^\\s*?]{1,128}$',
            description: 'one word of a command line, as ima_policy=tcb',
          },
          'Words of an accepted command line that set rules: ima_policy=tcb.',
          16,
        ),
      }),
      default: {},
      description: 'What makes sure that IMA measures at all. An enforcing policy needs one of them.',
    },
    accept: list(
      mapping({ digest: fileDigest, path: { ...glob, minLength: 0, default: '' } }, ['digest']),
      'Files that are accepted beside those of the reference sets.',
    ),
    signed: {
      type: 'boolean',
      default: false,
      description: 'Accept files signed by a key of the reference sets.',
    },
    exclude: set(glob, 'Paths that are not judged; how many entries they hide is reported.', 256),
    violations: {
      enum: ['fail', 'warn', 'ignore'],
      default: 'warn',
      description: 'Entries that were written to while they were measured.',
    },
    agentMeasured: {
      type: 'boolean',
      default: true,
      description: "Whether the agent's own files must be in the list, with accepted digests.",
    },
  },
  'PCR 10: what the kernel measured while running (IMA).',
);

export const policySchema: Schema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'MeasurementPolicy',
  description: 'Which boot and which run-time a host must show to be trusted.',
  ...mapping(
    {
      kind: kind('MeasurementPolicy'),
      name,
      description,
      mode: {
        enum: ['enforce', 'report'],
        default: 'enforce',
        description: '`report` says what it finds and withdraws nothing.',
      },
      references: set(reference, 'Reference sets: `name`, or `name@<hash>` for that very version.', 64),
      acceptNext: list(
        mapping(
          { references: { ...set(reference, 'Reference sets.', 64), minItems: 1 }, from: time, until: time },
          ['references', 'from', 'until'],
        ),
        'Sets that are accepted besides, for the time of an update.',
        64,
      ),
      firmware: digestRule('PCR 0 and 2: every event must be a reference.'),
      firmwareConfig: digestRule('PCR 1 and 3: every event must be a reference.'),
      secureBoot,
      bootChain: rule(
        {
          accept: digests('Authenticode hashes, or digests of events, that are accepted besides.'),
          kexec: {
            type: 'boolean',
            default: false,
            description: 'Whether a kernel started by kexec is accepted.',
          },
        },
        'PCR 4, 8, 9, 11, 12, 13 and 14: boot loaders, unified kernel images, kernels.',
      ),
      commandLine: rule(
        {
          accept: set(glob, 'Whole command lines that are accepted beside those of the reference sets.', 256),
          require: set(glob, 'Words that must be there.', 64),
          forbid: set(glob, 'Words that must not be there.', 64),
        },
        'The command line of the kernel.',
      ),
      userspace: rule(
        { accept: set(glob, 'Measured texts that are accepted: `machine-id:*`.', 256) },
        'What systemd measured. The phases of a normal boot are always accepted.',
      ),
      runtime,
    },
    ['kind', 'name'],
  ),
};
