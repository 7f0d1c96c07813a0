import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ErrorCode } from '../../../src/error-table.js';
import { TouchmarkError } from '../../../src/errors.js';
import { checkManifest, examineManifest, toManifest } from '../../../src/measure/policy/check.js';
import { MAX_FILES } from '../../../src/measure/policy/schema/words.js';
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
