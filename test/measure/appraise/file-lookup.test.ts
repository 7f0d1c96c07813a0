import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileLookup } from '../../../src/measure/appraise/file-lookup.js';
import { referenceSet, runtimeRule } from '../../support/appraisal-factory.js';
import { digestOf } from '../../support/policy-manifests.js';

const content = (byte: number) => ({
  of: 'file' as const,
  algorithm: 'sha256',
  digest: Buffer.alloc(32, byte),
});

test('a content is accepted where a reference says, by its path or by a pattern', () => {
  const files = [
    { digest: digestOf(1), path: '/a' },
    { digest: digestOf(1), path: '/b' },
    { digest: digestOf(1), path: '/my?app/*' },
    { digest: digestOf(2), path: '/x' },
    { digest: digestOf(2), path: '' },
    { digest: digestOf(3), path: '/c?' },
  ];
  const lookup = fileLookup([referenceSet({ files })], runtimeRule);
  const places = ['/a', '/b', '/my_app/q', '/my_app/q/r', '/c', '/c1', '/x'];
  const accepted = (byte: number) => places.filter((path) => lookup.accepts(content(byte), path));
  assert.deepEqual(accepted(1), ['/a', '/b', '/my_app/q']);
  assert.deepEqual(accepted(2), places);
  assert.deepEqual(accepted(3), ['/c1']);
  assert.deepEqual(accepted(4), []);
  assert.deepEqual(places.filter(lookup.knowsPath), ['/a', '/b', '/x']);
});

test('the order in which places come changes nothing', () => {
  const files = ['/a', '/b*', '', '/c'].map((path) => ({ digest: digestOf(1), path }));
  for (const set of [files, files.toReversed()]) {
    assert.ok(fileLookup([referenceSet({ files: set })], undefined).accepts(content(1), '/anywhere'));
  }
});

test('one content at tens of thousands of places costs what as many contents do', () => {
  const files = Array.from({ length: 40_000 }, (_, at) => ({
    digest: digestOf(1),
    path: `/usr/lib/python3/dist-packages/p${at}/__init__.py`,
  }));
  const started = performance.now();
  const lookup = fileLookup([referenceSet({ files })], undefined);
  for (const { path } of files) assert.ok(lookup.accepts(content(1), path));
  assert.equal(lookup.accepts(content(1), '/tmp/x'), false);
  assert.ok(performance.now() - started < 3_000);
});
