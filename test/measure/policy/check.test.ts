import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ErrorCode } from '../../../src/error-table.js';
import { TouchmarkError } from '../../../src/errors.js';
import { compilePolicy } from '../../../src/measure/appraise/compile.js';
import { measuringTypeNames } from '../../../src/measure/boot/event-types.js';
import { checkManifest, examineManifest, toManifest } from '../../../src/measure/policy/check.js';
import { MAX_FILES } from '../../../src/measure/policy/schema/words.js';
import { resolved } from '../../support/appraisal-factory.js';
import { digestOf, groupManifest, policyManifest, setManifest } from '../../support/policy-manifests.js';
import { throwsCode } from '../../support/rejects.js';

function refused(manifest: unknown, message: RegExp, code: ErrorCode = 'manifest_invalid'): void {
  throwsCode(code, message, () => checkManifest(manifest));
}

test('what a policy leaves out is filled in', () => {
  const policy = checkManifest(policyManifest({ userspace: {} }));
  assert.deepEqual(policy, {
    kind: 'MeasurementPolicy',
    name: 'uki-fleet',
    description: '',
    mode: 'enforce',
    references: ['uki'],
    acceptNext: [],
    bootChain: { onFail: 'drift', accept: [], kexec: false },
    userspace: { onFail: 'drift', accept: [] },
    runtime: {
      onFail: 'drift',
      rules: { policies: [], commandLine: ['ima_policy=tcb'] },
      accept: [],
      signed: false,
      exclude: [],
      violations: 'warn',
      agentMeasured: true,
    },
  });
});

test('what a reference set and a group leave out is filled in', () => {
  assert.deepEqual(checkManifest({ kind: 'ReferenceSet', name: 'a' }), {
    ...{ kind: 'ReferenceSet', name: 'a', description: '', source: '', includes: [], firmware: [] },
    ...{ firmwareConfig: [], secureBoot: [], bootChain: [], ukis: [], commandLines: [], userspace: [] },
    ...{ files: [], fileSigners: [] },
  });
  assert.deepEqual(checkManifest(groupManifest()), {
    ...{ kind: 'HostGroup', name: 'all', description: '', priority: 0, labels: {}, policy: 'uki-fleet' },
    maintenance: [],
  });
});

test('the manifest that is given stays as it was written', () => {
  const manifest = policyManifest();
  const before = structuredClone(manifest);
  checkManifest(manifest);
  assert.deepEqual(manifest, before);
});

test('files of a set have one order and stand once', () => {
  const files = [3, 1, 2, 1].map((byte) => ({ path: '/x', digest: digestOf(byte) }));
  const set = checkManifest(setManifest({ files }));
  assert.ok(set.kind === 'ReferenceSet');
  assert.deepEqual(
    set.files.map(({ digest }) => digest),
    [1, 2, 3].map(digestOf),
  );
});

test('times are ISO 8601 and become milliseconds', () => {
  const window = { from: '2026-11-20T06:00:00+01:00', until: '2026-11-20T06:00:00.500Z' };
  const group = checkManifest(groupManifest({ maintenance: [window] }));
  assert.ok(group.kind === 'HostGroup');
  assert.deepEqual(group.maintenance, [{ from: 1795150800000, until: 1795154400500 }]);
  assert.deepEqual(toManifest(group)['maintenance'], [
    { from: '2026-11-20T05:00:00Z', until: '2026-11-20T06:00:00.500Z' },
  ]);
});

test('an object that is written down as a manifest is read as the same object', () => {
  const window = { from: '2026-11-20T06:00:00Z', until: '2026-11-21T06:00:00Z' };
  for (const manifest of [
    policyManifest({ acceptNext: [{ ...window, references: ['next'] }] }),
    setManifest(),
    groupManifest({ maintenance: [window], labels: { site: 'b*' } }),
  ]) {
    const object = checkManifest(manifest);
    assert.deepEqual(checkManifest(toManifest(object)), object);
  }
});

test('something that is no manifest is told so', () => {
  refused(null, /^manifest: a manifest is a mapping, not null$/);
  refused([], /^manifest: a manifest is a mapping, not a list$/);
  refused({ name: 'a' }, /kind: is missing; one of MeasurementPolicy, ReferenceSet, HostGroup$/);
  refused({ kind: 'ReferenceSett' }, /kind: "ReferenceSett" is none of .*; did you mean "ReferenceSet"\?$/);
  refused({ kind: 'HostGroup', name: 'a', policy: 1n }, /holds what JSON cannot say, or is nested too deep$/);
});

test('a cyclic or bottomless value is refused', () => {
  const ring: Record<string, unknown> = groupManifest();
  ring['labels'] = ring;
  refused(ring, /holds what JSON cannot say/);
  let deep: unknown = 'x';
  for (let level = 0; level < 200_000; level++) deep = [deep];
  refused(groupManifest({ labels: deep }), /nested too deep$/);
});

test('an unknown key is named with its place and the nearest known one', () => {
  refused(policyManifest({ bootchain: {} }), /bootchain: unknown key; did you mean "bootChain"\?/);
  refused(
    policyManifest({ bootChain: { onfail: 'warn' } }),
    /bootChain\.onfail: unknown key; did you mean "onFail"\?/,
  );
  refused(
    JSON.parse('{"kind":"HostGroup","name":"a","policy":"p","__proto__":{"x":1}}'),
    /__proto__: unknown key/,
  );
});

test('every kind of mistake is told in words', () => {
  const wrong: [unknown, RegExp][] = [
    [
      policyManifest({ mode: 'enforced' }),
      /mode: must be one of enforce, report, not "enforced"; did you mean "enforce"\?/,
    ],
    [policyManifest({ references: 'uki' }), /references: must be a list, not "uki"/],
    [
      policyManifest({ references: ['uki', 'uki'] }),
      /references: members 0 and 1 are the same; write it once/,
    ],
    [
      policyManifest({ references: ['uki@12'] }),
      /references\[0\]: "uki@12" is not a name, or name@<64 hex digits>/,
    ],
    [
      policyManifest({ bootChain: { accept: ['SHA256:00'] } }),
      /bootChain\.accept\[0\]: "SHA256:00" is not a digest: sha256:/,
    ],
    [policyManifest({ name: '' }), /name: "" is not a name: letters, digits/],
    [policyManifest({ name: undefined }), /name: is missing/],
    [
      policyManifest({ acceptNext: [{ references: [], from: 'x', until: 'y' }] }),
      /references: needs at least 1 member/,
    ],
    [groupManifest({ priority: 1.5 }), /priority: must be a whole number, not 1\.5/],
    [groupManifest({ priority: 1e7 }), /priority: must be at most 1000000, not 10000000/],
    [groupManifest({ labels: { site: '' } }), /labels\.site: must not be empty/],
    [groupManifest({ labels: { 'a b/c': 1 } }), /labels\."a b\/c": must be text, not 1/],
    [groupManifest({ description: 'x'.repeat(1025) }), /description: is longer than 1024 characters/],
    [setManifest({ files: [{ digest: 'md5:00' }] }), /files\[0\]\.digest: "md5:00" is not a file's digest/],
    [
      setManifest({ includes: Array.from({ length: 65 }, (_, i) => `s${i}`) }),
      /includes: has 65 members; at most 64/,
    ],
    [setManifest({ fileSigners: ['x'] }), /fileSigners\[0\]: is no certificate and no public key in PEM/],
  ];
  for (const [manifest, message] of wrong) refused(manifest, message);
});

test('all mistakes are told at once, each with its place', () => {
  const examined = examineManifest(policyManifest({ mode: 1, runtime: { signed: 'yes' }, extra: 1 }));
  assert.ok('problems' in examined);
  assert.deepEqual(examined.problems.map(({ path }) => path).sort(), [
    ['extra'],
    ['mode'],
    ['runtime', 'signed'],
  ]);
  const many = Array.from({ length: 20 }, (_, index) => `bad name ${index}`);
  refused(policyManifest({ references: many }), /references\[7\].*; and 12 more$/);
});

test('a file signer may be a public key, never a private one', () => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const pem = publicKey.export({ type: 'spki', format: 'pem' }) as string;
  assert.equal(checkManifest(setManifest({ fileSigners: [pem] })).kind, 'ReferenceSet');
  const secret = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
  refused(
    setManifest({ fileSigners: [secret] }),
    /fileSigners\[0\]: holds a private key; give the certificate/,
  );
});

test('windows of time must be some, on the calendar, and apart', () => {
  const at = (from: string, until: string) => ({
    from: `2026-${from}T00:00:00Z`,
    until: `2026-${until}T00:00:00Z`,
  });
  const maintenance = (...windows: object[]) => groupManifest({ maintenance: windows });
  refused(
    maintenance(at('02-30', '03-05')),
    /maintenance\[0\]\.from: "2026-02-30T00:00:00Z" is on no calendar/,
  );
  refused(maintenance(at('03-05', '03-05')), /maintenance\[0\]: ends before it begins/);
  refused(maintenance(at('03-05', '03-04')), /maintenance\[0\]: ends before it begins/);
  refused(
    maintenance(at('03-05', '03-08'), at('03-01', '03-06')),
    /maintenance\[1\]: overlaps maintenance\[0\]; write one window/,
  );
  refused(
    maintenance({ from: '2026-03-05', until: '2026-03-06' }),
    /"2026-03-05" is not a time with its zone/,
  );
  assert.equal(checkManifest(maintenance(at('03-05', '03-06'), at('03-06', '03-07'))).kind, 'HostGroup');
  const next = { ...at('03-05', '03-04'), references: ['uki'] };
  refused(policyManifest({ acceptNext: [next] }), /acceptNext\[0\]: ends before it begins/);
});

test('a policy that checks nothing is refused', () => {
  const none = { references: [], bootChain: undefined, runtime: undefined };
  const nothing = (changes: Record<string, unknown>, message: RegExp) =>
    refused(policyManifest({ ...none, ...changes }), message, 'policy_checks_nothing');
  nothing({}, /^MeasurementPolicy uki-fleet: no component has a rule; write at least one/);
  nothing({ secureBoot: { onFail: 'warn' }, userspace: { onFail: 'warn' } }, /every rule only warns/);
  nothing({ firmware: {} }, /firmware: has nothing to compare with: name references, or accept digests/);
  nothing(
    { firmwareConfig: { ignoreTypes: ['EV_CPU_MICROCODE'] } },
    /firmwareConfig: has nothing to compare with/,
  );
  nothing({ bootChain: {} }, /bootChain: has nothing to compare with/);
  for (const more of [{}, { references: ['uki'] }, { references: ['uki'], bootChain: {} }])
    nothing(
      { secureBoot: { enabled: false, accept: [digestOf(1)] }, ...more },
      /secureBoot: asks neither for Secure Boot nor for any key/,
    );
  nothing({ commandLine: {} }, /commandLine: has nothing to compare with/);
  for (const commandLine of [
    { accept: ['**'] },
    { accept: ['* **'] },
    { accept: ['** **'] },
    { accept: ['*', '* ** *'] },
    { accept: ['**'], require: ['*'] },
    { accept: ['**'], forbid: ['zzzz'] },
  ]) {
    nothing(
      { commandLine, references: ['uki'] },
      /commandLine\.accept: accepts every command line, init=\/bin\/sh too/,
    );
  }
  nothing(
    { userspace: { accept: ['**'] } },
    /userspace\.accept: accepts everything that user space measures/,
  );
  const rules = { policies: [digestOf(1)] };
  nothing({ runtime: { rules } }, /runtime: has nothing to compare with: name references, or accept files/);
  nothing(
    { runtime: { rules, signed: true } },
    /runtime: the keys of signed files come from reference sets: name one/,
  );
  const accept = [{ digest: digestOf(1) }];
  nothing(
    { runtime: { accept } },
    /runtime\.rules: without rules that make IMA measure, an empty list would look healthy/,
  );
  const everywhere = ['bin', 'dev', 'etc', 'home', 'lib*', 'opt', 'r*', 's*', 'tmp', 'usr', 'var'];
  for (const exclude of [['**'], ['/**'], ['**/*'], ['/?**'], everywhere.map((name) => `/${name}/**`)])
    nothing(
      { runtime: { rules, accept, exclude: ['/var/lib/x/**', ...exclude] } },
      /runtime\.exclude: leaves out every file/,
    );
  for (const word of [
    'quiet',
    'ima_policy=critical_data',
    'ima_policy=appraise_tcb',
    'ima_hash=sha256',
    'tcb',
  ])
    nothing(
      { runtime: { accept, rules: { commandLine: ['ima_policy=tcb', word] } } },
      /runtime\.rules\.commandLine\[1\]: "[a-z_=0-9]+" does not make IMA measure files; ima_policy=tcb does/,
    );
  nothing(
    { firmware: { accept: [digestOf(1)], ignoreTypes: measuringTypeNames } },
    /firmware\.ignoreTypes: leaves out every type of event/,
  );
  nothing(
    { userspace: { accept: ['*', '**/**'] } },
    /userspace\.accept: accepts everything that user space measures/,
  );
});

test('a type of events that there is not is told, with the nearest', () => {
  for (const key of ['firmware', 'firmwareConfig'])
    refused(
      policyManifest({ [key]: { ignoreTypes: ['EV_EFI_ACTION', 'EV_EFI_VARIABLE_BOOTS'] } }),
      new RegExp(
        `${key}\\.ignoreTypes\\[1\\]: "EV_EFI_VARIABLE_BOOTS" is no type .*mean "EV_EFI_VARIABLE_BOOT"`,
      ),
    );
});

test('what the checker accepts can be used, however its patterns grow when they are made ready', () => {
  const glob = fc
    .array(fc.constantFrom('*', '**', '?', 'a', '=', '-', '/', '"', ' ', 'init', '*a'), { minLength: 1 })
    .map((parts) => parts.join('').slice(0, 1024));
  const some = fc.uniqueArray(glob, { maxLength: 3 });
  const use = (manifest: Record<string, unknown>) => {
    const examined = examineManifest(manifest);
    if ('problems' in examined) return;
    assert.ok(examined.object.kind === 'MeasurementPolicy');
    const { commandLines, files, userspace } = compilePolicy(resolved(examined.object), '');
    commandLines.accepts('a b');
    files.accepts({ of: 'file', algorithm: 'sha256', digest: Buffer.alloc(32) }, '/a');
    userspace.acceptsText('a', 15);
  };
  fc.assert(
    fc.property(some, some, some, some, (accept, require, forbid, exclude) => {
      const runtime = { rules: { policies: [digestOf(1)] }, exclude };
      use(policyManifest({ commandLine: { accept, require, forbid }, userspace: { accept }, runtime }));
    }),
    { numRuns: 2_000, seed: 4 },
  );
  use(policyManifest({ commandLine: { forbid: ['*a'.repeat(400)], accept: ['*a'.repeat(512)] } }));
});

test('files may be told by patterns with stars, but not by any number of them', () => {
  const files = Array.from({ length: 300 }, (_, at) => ({
    digest: digestOf(at % 256),
    path: `/${at}${'a'.repeat(950)}*`,
  }));
  const message = /patterns with stars have \d+ characters; at most 262144: write paths/;
  refused(setManifest({ files }), message, 'glob_invalid');
  refused(
    policyManifest({ runtime: { accept: files, rules: { policies: [digestOf(1)] } } }),
    message,
    'glob_invalid',
  );
  const names = files.map((file) => ({ ...file, path: file.path.replace('*', '?') }));
  assert.equal(checkManifest(setManifest({ files: names })).kind, 'ReferenceSet');
});

test('what is wrong with the parts of the right shape is told together with the shape of the others', () => {
  const maintenance = [{ from: '2026-02-30T00:00:00Z', until: '2026-03-05T00:00:00Z' }];
  const group = groupManifest({ priority: 'high', maintenance, labels: { site: '***' } });
  refused(
    group,
    /priority: must be a whole number.*maintenance\[0\]\.from: .* is on no calendar; labels\.site: /,
  );
  const policy = policyManifest({
    mode: 'x',
    userspace: { accept: ['***'] },
    runtime: { exclude: ['***', 1] },
  });
  refused(
    policy,
    /^[^;]*mode: must be[^;]*; runtime\.exclude\[1\]: must be[^;]*; userspace\.accept\[0\]: pattern[^;]*$/,
  );
  refused(
    setManifest({ includes: 1, files: [{ digest: digestOf(1), path: '***' }] }),
    /includes.*; files\[0\]\.path/,
  );
});

test('a policy that checks something is let in', () => {
  const base = { references: [], bootChain: undefined, runtime: undefined };
  for (const changes of [
    { secureBoot: {} },
    { secureBoot: { enabled: false, revokedAtLeast: [digestOf(1)] } },
    { userspace: {} },
    { commandLine: { forbid: ['init=*'] } },
    { commandLine: { accept: ['**'], forbid: ['init=*'] } },
    { commandLine: { accept: ['**'], require: ['lockdown=integrity'] } },
    {
      runtime: { accept: [{ digest: digestOf(1) }], rules: { commandLine: ['ima_policy=tcb|appraise_tcb'] } },
    },
    { firmware: { accept: [digestOf(1)] } },
    { runtime: { accept: [{ digest: digestOf(1) }] }, mode: 'report' },
  ]) {
    assert.equal(checkManifest(policyManifest({ ...base, ...changes })).kind, 'MeasurementPolicy');
  }
});

test('what looks like a regular expression is a glob like any other', () => {
  const exclude = ['/(a+)+$', '/[', '/\\'];
  const policy = checkManifest(policyManifest({ runtime: { rules: { policies: [digestOf(1)] }, exclude } }));
  assert.ok(policy.kind === 'MeasurementPolicy');
  assert.deepEqual(policy.runtime?.exclude, exclude);
  const long = { rules: { policies: [digestOf(1)] }, exclude: ['/a***'] };
  refused(
    policyManifest({ runtime: long }),
    /runtime\.exclude\[0\]: pattern .* more than two stars/,
    'glob_invalid',
  );
});

test('a set of more files than are taken is refused, and one of wrong lines is told once', () => {
  const files = Array.from({ length: MAX_FILES + 1 }, () => ({ digest: digestOf(1) }));
  refused(setManifest({ files }), /^ReferenceSet uki: files: has 200001 members; at most 200000$/);
  const bad = Array.from({ length: 50_000 }, () => ({ digest: 'x' }));
  refused(
    setManifest({ files: bad }),
    /^ReferenceSet uki: files\[0\]\.digest: "x" is not a file's digest[^;]*$/,
  );
});

test('whatever is thrown at the checker, it answers with an object or with a TouchmarkError', () => {
  const key = fc.constantFrom('kind', 'name', 'references', 'runtime', 'labels', 'acceptNext', 'files', 'x');
  const value = fc.oneof(fc.constantFrom('HostGroup', 'MeasurementPolicy', 'ReferenceSet'), fc.jsonValue());
  fc.assert(
    fc.property(
      fc.dictionary(key, value),
      fc.constantFrom(policyManifest(), setManifest(), groupManifest()),
      (a, b) => {
        try {
          assert.ok(checkManifest({ ...b, ...a }).kind);
        } catch (error) {
          assert.ok(error instanceof TouchmarkError, String(error));
        }
      },
    ),
    { numRuns: 3_000, seed: 4 },
  );
});
