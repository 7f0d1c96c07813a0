import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hashOf } from '../../../src/measure/policy/canonical.js';
import { checkManifest } from '../../../src/measure/policy/check.js';
import type { MeasurementPolicy, ReferenceSet } from '../../../src/measure/policy/model.js';
import { formatReference, parseReference } from '../../../src/measure/policy/reference.js';
import {
  checkIncludes,
  type Lookup,
  type ObjectKind,
  resolvePolicy,
  restorePolicy,
  type Version,
} from '../../../src/measure/policy/resolve.js';
import { digestOf, policyManifest, setManifest } from '../../support/policy-manifests.js';
import { throwsCode } from '../../support/rejects.js';

function version(manifest: Record<string, unknown>): Version {
  const object = checkManifest(manifest);
  return { object, hash: hashOf(object) };
}

const set = (name: string, includes: string[] = [], byte = 1) =>
  version(
    setManifest({ name, includes, bootChain: [{ digest: digestOf(byte) }], files: [] }),
  ) as Version<ReferenceSet>;

function policyOf(changes: Record<string, unknown>): Version<MeasurementPolicy> {
  return version(policyManifest(changes)) as Version<MeasurementPolicy>;
}

/** The last one under a name is in force. */
function shelf(...versions: Version[]): Lookup {
  const find = (kind: ObjectKind, { name, hash }: { name: string; hash?: string }) =>
    versions.findLast(
      (one) => one.object.kind === kind && one.object.name === name && (hash ?? one.hash) === one.hash,
    );
  return find as Lookup;
}

test('a policy is resolved with everything that its sets include, each once', () => {
  const sets = [set('a', ['b', 'c']), set('b', ['c']), set('c')];
  const { policy } = resolvePolicy(policyOf({ references: ['a', 'c'] }), shelf(...sets));
  assert.deepEqual(
    policy.references.map(({ name }) => name),
    ['a', 'b', 'c'],
  );
});

test('sets of an update stand beside their window', () => {
  const window = { from: '2026-11-20T00:00:00Z', until: '2026-11-21T00:00:00Z' };
  const sets = [set('a'), set('b', ['c']), set('c')];
  const policy = policyOf({ references: ['a'], acceptNext: [{ ...window, references: ['b'] }] });
  const { next } = resolvePolicy(policy, shelf(...sets)).policy;
  assert.deepEqual(
    next.map(({ references, from, until }) => [references.map(({ name }) => name), from, until]),
    [[['b', 'c'], Date.parse(window.from), Date.parse(window.until)]],
  );
});

test('a name means the newest version and name@hash that very one', () => {
  const [old, now] = [set('a', [], 1), set('a', [], 2)];
  const lookup = shelf(old, now);
  const digests = (reference: string) =>
    resolvePolicy(policyOf({ references: [reference] }), lookup).policy.references[0]?.bootChain[0]?.digest;
  assert.equal(digests('a'), digestOf(2));
  assert.equal(digests(`a@${old.hash}`), digestOf(1));
});

test('the id is of the versions: another one changes it, another name for the same does not', () => {
  const [old, now] = [set('a', [], 1), set('a', [], 2)];
  const policy = policyOf({ references: ['a'] });
  const id = resolvePolicy(policy, shelf(old)).policy.id;
  assert.match(id, /^[0-9a-f]{64}$/);
  assert.equal(resolvePolicy(policy, shelf(old, set('b'))).policy.id, id);
  assert.notEqual(resolvePolicy(policy, shelf(old, now)).policy.id, id);
  assert.notEqual(resolvePolicy(policyOf({ references: ['a'], mode: 'report' }), shelf(old)).policy.id, id);
});

test('a resolution gives the same policy again from the versions that were kept', () => {
  const window = { from: '2026-11-20T00:00:00Z', until: '2026-11-21T00:00:00Z', references: ['b'] };
  const sets = [set('a', ['c']), set('b'), set('c')];
  const version = policyOf({ references: ['a'], acceptNext: [window] });
  const { policy, resolution } = resolvePolicy(version, shelf(...sets));
  const later = shelf(version, ...sets, set('a', [], 9), set('b', [], 9));
  assert.deepEqual(restorePolicy(resolution, later), policy);
  throwsCode('reference_missing', /^ReferenceSet c@[0-9a-f]{64} is not kept any more$/, () =>
    restorePolicy(resolution, shelf(version, ...sets.slice(0, 2))),
  );
});

test('what is named and does not exist is told with who names it', () => {
  throwsCode(
    'reference_missing',
    /^policy uki-fleet names the reference set gone, which does not exist$/,
    () => resolvePolicy(policyOf({ references: ['gone'] }), shelf()),
  );
  throwsCode(
    'reference_missing',
    /^reference set a names the reference set gone, which does not exist$/,
    () => resolvePolicy(policyOf({ references: ['a'] }), shelf(set('a', ['gone']))),
  );
});

test('sets that include one another are refused, and the ring is named', () => {
  const sets = [set('top', ['a']), set('a', ['b']), set('b', ['c']), set('c', ['a'])];
  throwsCode('reference_cycle', /^reference sets include one another: a -> b -> c -> a$/, () =>
    resolvePolicy(policyOf({ references: ['top'] }), shelf(...sets)),
  );
  throwsCode('reference_cycle', /include one another: self -> self$/, () =>
    checkIncludes(set('self', ['self']).object, shelf(set('self', ['self']))),
  );
});

test('sets that include too deep, too many or too much are refused', () => {
  const chain = Array.from({ length: 20 }, (_, at) => set(`s${at}`, at === 19 ? [] : [`s${at + 1}`]));
  throwsCode('policy_too_large', /^reference set s16 includes more than 16 deep$/, () =>
    resolvePolicy(policyOf({ references: ['s0'] }), shelf(...chain)),
  );
  const leaves = Array.from({ length: 300 }, (_, at) => set(`l${at}`));
  const names = leaves.map(({ object }) => object.name);
  const middle = [0, 1, 2, 3, 4].map((part) => set(`m${part}`, names.slice(part * 60, part * 60 + 60)));
  throwsCode('policy_too_large', /^policy uki-fleet comes to 305 reference sets; at most 256$/, () =>
    resolvePolicy(policyOf({ references: ['m0', 'm1', 'm2', 'm3', 'm4'] }), shelf(...middle, ...leaves)),
  );
  const files = Array.from({ length: 150_000 }, () => ({ digest: digestOf(1), path: '' }));
  const large = ['x', 'y', 'z'].map((name): Version => {
    const small = set(name);
    return { hash: small.hash, object: { ...small.object, files } };
  });
  throwsCode('policy_too_large', /^policy uki-fleet comes to 450000 files; at most 400000$/, () =>
    resolvePolicy(policyOf({ references: ['x', 'y', 'z'] }), shelf(...large)),
  );
});

test('patterns with stars of all sets together are bounded', () => {
  const files = Array.from({ length: 200 }, (_, at) => ({
    digest: digestOf(at),
    path: `/${'a'.repeat(998)}*`,
  }));
  const sets = ['x', 'y'].map((name): Version => {
    const small = set(name);
    return { hash: small.hash, object: { ...small.object, files: [...files] } };
  });
  assert.ok(resolvePolicy(policyOf({ references: ['x'] }), shelf(...sets)));
  throwsCode(
    'policy_too_large',
    /^policy uki-fleet comes to 400000 characters in patterns of files with stars; at most 262144$/,
    () => resolvePolicy(policyOf({ references: ['x', 'y'] }), shelf(...sets)),
  );
});

test('references are a name, or a name and a hash', () => {
  const hash = 'ab'.repeat(32);
  assert.deepEqual(parseReference('a.b-c_1'), { name: 'a.b-c_1' });
  assert.deepEqual(parseReference(`a@${hash}`), { name: 'a', hash });
  assert.equal(formatReference({ name: 'a', hash }), `a@${hash}`);
  for (const bad of ['', '-a', 'a@', 'a@12', `a@${hash.toUpperCase()}`, 'a/b', 'a b', `a@${hash}\n`]) {
    throwsCode('manifest_invalid', /is no name and no name@<hash>$/, () => parseReference(bad), bad);
  }
});
