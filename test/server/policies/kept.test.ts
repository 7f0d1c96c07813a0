import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hashOf } from '../../../src/measure/policy/canonical.js';
import { referenceSet } from '../../../src/measure/policy/reference-sources/reference-set.js';
import type { MeasureObjectRecord } from '../../../src/server/model.js';
import { versionKey } from '../../../src/server/policies/contract.js';
import { keptVersion, keptVersions } from '../../../src/server/policies/kept.js';
import { memoryDatastore } from '../../fakes/memory-datastore.js';
import { rejectsCode } from '../../support/rejects-async.js';

const uki = { kind: 'ReferenceSet', name: 'uki' } as const;

async function storeOf(names: readonly string[], each: number) {
  const store = memoryDatastore();
  for (const name of names) {
    for (let version = 0; version < each; version++) {
      const object = referenceSet({ name, source: String(version) }, {});
      const hash = hashOf(object);
      const value = { object, hash, createdAt: version, createdBy: 'uid 7' };
      await store.commit([{ kind: 'measure_object', key: versionKey(object, hash), value }]);
    }
  }
  return store;
}

async function all(store: Awaited<ReturnType<typeof storeOf>>): Promise<MeasureObjectRecord[]> {
  const found: MeasureObjectRecord[] = [];
  for await (const version of keptVersions(store, uki)) found.push(version);
  return found;
}

test('all versions of one name are found, and none of another', async () => {
  const store = await storeOf(['uki', 'uki-2', 'uk'], 9);
  const found = await all(store);
  assert.equal(found.length, 9);
  assert.ok(found.every(({ object }) => object.name === 'uki'));
});

test('the beginning of a hash names a version as long as it is of one only', async () => {
  const store = await storeOf(['uki'], 2);
  const [first] = await all(store);
  const hash = first?.hash ?? '';
  assert.equal((await keptVersion(store, uki, hash))?.hash, hash);
  assert.equal((await keptVersion(store, uki, hash.slice(0, 8)))?.hash, hash);
  assert.equal(await keptVersion(store, uki, 'zzzz'), undefined);
  assert.equal(await keptVersion(store, uki, ''), undefined);
  const twin = `${hash.slice(0, 60)}0000`;
  if (first)
    await store.commit([
      { kind: 'measure_object', key: versionKey(uki, twin), value: { ...first, hash: twin } },
    ]);
  await rejectsCode(
    'argument_invalid',
    /^several versions of uki begin with /,
    keptVersion(store, uki, hash.slice(0, 60)),
  );
});
