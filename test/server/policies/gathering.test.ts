import assert from 'node:assert/strict';
import { test } from 'node:test';
import { referenceSet } from '../../../src/measure/policy/reference-sources/reference-set.js';
import { gathering } from '../../../src/server/policies/gathering.js';
import { throwsCode } from '../../support/rejects.js';

const about = { name: 'made', source: 'test' };
const filesOf = (from: number, count: number) =>
  Array.from({ length: count }, (_, at) => ({
    digest: `sha256:${(from + at).toString(16).padStart(64, '0')}`,
    path: `/usr/lib/lib${from + at}.so`,
  }));
const shown = (from: number, count: number) => [
  { set: referenceSet(about, { files: filesOf(from, count) }), notes: [] },
];

test('what a host shows twice counts once', () => {
  const gathered = gathering('test');
  gathered.add([...shown(0, 1), ...shown(0, 1)]);
  assert.equal(gathered.set(about, 2).files.length, 0);
  gathered.add(shown(0, 2));
  assert.deepEqual(gathered.set(about, 2).files, filesOf(0, 1));
});

test('hosts with the same files cost time, and no memory', () => {
  const gathered = gathering('test');
  const same = shown(0, 20_000);
  const started = performance.now();
  for (let host = 0; host < 50; host++) gathered.add(same);
  assert.equal(gathered.set(about, 50).files.length, 20_000);
  assert.ok(performance.now() - started < 30_000);
});

test('too much is refused while it comes in, and a set that is too large when it is made', () => {
  const gathered = gathering('test');
  gathered.add(shown(0, 150_000));
  gathered.add(shown(150_000, 150_000));
  throwsCode('reference_source_too_large', /^test has more than 200000 files for one reference set$/, () =>
    gathered.set(about, 1),
  );
  throwsCode('reference_source_too_large', /^test has more than 400000 different measurements/, () =>
    gathered.add(shown(300_000, 150_000)),
  );
});
