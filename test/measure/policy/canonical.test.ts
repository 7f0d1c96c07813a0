import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { canonicalJson, hashOf } from '../../../src/measure/policy/canonical.js';
import { checkManifest } from '../../../src/measure/policy/check.js';
import { throwsCode } from '../../support/rejects.js';

test('keys are sorted at every depth and lists keep their order', () => {
  assert.equal(
    canonicalJson({ b: [{ d: 1, c: 'é\n' }, null, true], a: -0.5, none: undefined }),
    '{"a":-0.5,"b":[{"c":"é\\n","d":1},null,true]}',
  );
});

test('what JSON cannot say is refused', () => {
  throwsCode('manifest_invalid', /^NaN is not a value that JSON can say$/, () => canonicalJson([Number.NaN]));
  throwsCode('manifest_invalid', /is not a value that JSON can say$/, () => canonicalJson({ a: 1n }));
});

test('the canonical form of any JSON value is read back as that value and does not depend on the order of keys', () => {
  const shuffled = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(shuffled);
    if (typeof value !== 'object' || value === null) return value;
    const members = Object.entries(value).map(([key, member]) => [key, shuffled(member)] as const);
    return Object.fromEntries(members.reverse());
  };
  fc.assert(
    fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
      const plain = JSON.parse(JSON.stringify(value)) as unknown;
      const text = canonicalJson(plain);
      assert.deepEqual(JSON.parse(text), plain);
      assert.equal(canonicalJson(shuffled(plain)), text);
    }),
    { seed: 4 },
  );
});

test('the hash of an object is that of its content, and stays what it is', () => {
  const group = {
    kind: 'HostGroup',
    name: 'edge',
    policy: 'uki-fleet',
    labels: { site: 'b*', role: 'edge' },
  };
  const again = {
    labels: { role: 'edge', site: 'b*' },
    policy: 'uki-fleet',
    name: 'edge',
    kind: 'HostGroup',
  };
  const hash = hashOf(checkManifest(group));
  assert.equal(hash, hashOf(checkManifest(again)));
  assert.equal(hash, hashOf(checkManifest({ ...group, priority: 0, description: '' })));
  assert.notEqual(hash, hashOf(checkManifest({ ...group, priority: 1 })));
  assert.equal(hash, '9b308621348a74d3a9d59e6ac79166b6f1294573da93426033ea43634895471a');
});
