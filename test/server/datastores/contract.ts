/** What every datastore must do, run against each of them. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { hasCode } from '../../../src/errors.js';
import type { Commit, Datastore, Page, Write } from '../../../src/server/datastores/contract.js';

const meta = (key: string, value: string): Write => ({ kind: 'meta', key, value: { value } });
const gone = (key: string): Write => ({ kind: 'meta', key, deleted: true });

/** @param open a new, empty store for each call; the suite disposes of it */
export function testDatastore(name: string, open: () => Promise<Datastore>): void {
  describe(`datastore ${name}`, () => {
    test('an empty store is at revision 0, has an epoch and holds nothing', async () => {
      await using store = await open();
      assert.equal(store.revision, 0);
      assert.notEqual(store.epoch, '');
      assert.equal(await store.get('meta', 'a'), undefined);
      assert.deepEqual(await store.list('meta'), []);
    });

    test('a commit is read back with its revision', async () => {
      await using store = await open();
      assert.equal(await store.commit([meta('a', 'one'), meta('b', 'two')]), 1);
      assert.deepEqual(await store.get('meta', 'a'), { key: 'a', value: { value: 'one' }, revision: 1 });
      assert.equal(await store.commit([meta('b', 'three')]), 2);
      assert.deepEqual(await store.list('meta'), [
        { key: 'a', value: { value: 'one' }, revision: 1 },
        { key: 'b', value: { value: 'three' }, revision: 2 },
      ]);
      assert.equal(store.revision, 2);
    });

    test('a deleted record is gone, and deleting what is not there is no error', async () => {
      await using store = await open();
      await store.commit([meta('a', '1')]);
      assert.equal(await store.commit([gone('a'), gone('never')]), 2);
      assert.equal(await store.get('meta', 'a'), undefined);
    });

    test('the last write to a key in a batch wins', async () => {
      await using store = await open();
      await store.commit([meta('a', '1'), gone('a'), meta('a', '2'), meta('b', '1'), gone('b')]);
      assert.equal((await store.get('meta', 'a'))?.value.value, '2');
      assert.equal(await store.get('meta', 'b'), undefined);
    });

    test('kinds do not see each other, whatever their keys look like', async () => {
      await using store = await open();
      await store.commit([
        meta('x', '1'),
        { kind: 'host_ek', key: 'x', value: { hostId: 'h' } },
        { kind: 'host', key: '_ek!x', deleted: true },
      ]);
      assert.equal((await store.list('host')).length, 0);
      assert.deepEqual(
        (await store.list('host_ek')).map(({ key }) => key),
        ['x'],
      );
    });

    test('lists go in byte order of the keys and continue after any of them', async () => {
      await using store = await open();
      const keys = ['a', 'a!b', 'aé', 'ä', 'z', '😀', '\u{ffff}', '~', 'A', '0'];
      await store.commit(keys.map((key) => meta(key, key)));
      const sorted = [...keys].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      assert.deepEqual(
        (await store.list('meta')).map(({ key }) => key),
        sorted,
      );
      const paged: string[] = [];
      for (let after = ''; ; after = paged.at(-1) ?? '') {
        const page = await store.list('meta', { after, limit: 3 });
        paged.push(...page.map(({ key }) => key));
        if (page.length < 3) break;
      }
      assert.deepEqual(paged, sorted);
    });

    test('a part of a list lies between two keys, from either end', async () => {
      await using store = await open();
      await store.commit(['h/1', 'h/2', 'h/3', 'h/4', 'h0', 'g/9'].map((key) => meta(key, key)));
      await store.commit([{ kind: 'node', key: 'h/5', value: {} as never }]);
      const keys = async (page: Page) => (await store.list('meta', page)).map(({ key }) => key);
      const below = { after: 'h/', before: 'h0' };
      assert.deepEqual(await keys(below), ['h/1', 'h/2', 'h/3', 'h/4']);
      assert.deepEqual(await keys({ ...below, descending: true, limit: 2 }), ['h/4', 'h/3']);
      assert.deepEqual(await keys({ after: 'h/', before: 'h/3', descending: true }), ['h/2', 'h/1']);
      assert.deepEqual(await keys({ after: 'h/3', before: 'h/3' }), []);
      assert.deepEqual(await keys({ descending: true, limit: 1 }), ['h0']);
    });

    test('a commit without writes checks its conditions and makes no revision', async () => {
      await using store = await open();
      await store.commit([meta('a', '1')]);
      assert.equal(await store.commit([], [{ kind: 'meta', key: 'a', revision: 1 }]), 1);
      await assert.rejects(store.commit([], [{ kind: 'meta', key: 'a', revision: 2 }]), {
        code: 'datastore_conflict',
      });
      assert.equal(store.revision, 1);
    });

    test('a condition that does not hold refuses the whole batch, in words', async () => {
      await using store = await open();
      await store.commit([meta('a', '1')]);
      await assert.rejects(store.commit([meta('b', '1')], [{ kind: 'meta', key: 'a', revision: 0 }]), {
        code: 'datastore_conflict',
        message: 'a record of kind meta should not exist but is at revision 1',
      });
      await assert.rejects(store.commit([meta('b', '1')], [{ kind: 'meta', key: 'c', revision: 4 }]), {
        code: 'datastore_conflict',
        message: 'a record of kind meta should be at revision 4 but does not exist',
      });
      assert.equal(await store.get('meta', 'b'), undefined);
      assert.equal(store.revision, 1);
    });

    test('of many that create the same record at once, one succeeds', async () => {
      await using store = await open();
      const attempts = Array.from({ length: 50 }, (_, i) =>
        store.commit([meta('one', String(i))], [{ kind: 'meta', key: 'one', revision: 0 }]),
      );
      const results = await Promise.allSettled(attempts);
      const refused = results.filter((result) => result.status === 'rejected');
      assert.equal(refused.length, 49);
      assert.ok(refused.every(({ reason }) => hasCode(reason, 'datastore_conflict')));
    });

    test('of many that change a record by read and condition, none is lost', async () => {
      await using store = await open();
      await store.commit([meta('n', '0')]);
      await Promise.all(Array.from({ length: 20 }, () => increment(store)));
      assert.equal((await store.get('meta', 'n'))?.value.value, '20');
    });

    test('listeners hear every commit in order and before it resolves', async () => {
      await using store = await open();
      const heard: Commit[] = [];
      const stop = store.subscribe((commit) => heard.push(commit));
      const revisions = await Promise.all(
        Array.from({ length: 30 }, async (_, i) => {
          const revision = await store.commit([meta(`k${i}`, 'v')]);
          assert.ok(heard.some((commit) => commit.revision === revision));
          return revision;
        }),
      );
      assert.deepEqual(
        heard.map(({ revision }) => revision),
        Array.from({ length: 30 }, (_, i) => i + 1),
      );
      assert.deepEqual(
        revisions,
        heard.map(({ revision }) => revision),
      );
      stop();
      await store.commit([meta('after', 'v')]);
      assert.equal(heard.length, 30);
    });

    test('a refused commit is not heard of', async () => {
      await using store = await open();
      const heard: Commit[] = [];
      store.subscribe((commit) => heard.push(commit));
      await store.commit([meta('a', '1')], [{ kind: 'meta', key: 'a', revision: 9 }]).catch(() => {});
      assert.deepEqual(heard, []);
    });

    test('what is read is not the object that was written', async () => {
      await using store = await open();
      const value = { value: 'before' };
      await store.commit([{ kind: 'meta', key: 'a', value }]);
      value.value = 'after';
      assert.equal((await store.get('meta', 'a'))?.value.value, 'before');
    });

    test('any run of batches leaves what a map would hold', async () => {
      await using store = await open();
      const key = fc.constantFrom('a', 'b', 'c', 'd');
      const write = fc.oneof(
        fc.tuple(key, fc.string()).map(([k, v]) => meta(k, v)),
        key.map(gone),
      );
      const model = new Map<string, string>();
      const runs = fc.sample(fc.array(write, { minLength: 1, maxLength: 6 }), { numRuns: 60, seed: 7 });
      for (const writes of runs) {
        await store.commit(writes);
        for (const w of writes) {
          if ('deleted' in w) model.delete(w.key);
          else if (w.kind === 'meta') model.set(w.key, w.value.value);
        }
        const held = (await store.list('meta')).map(({ key: k, value }) => [k, value.value]);
        assert.deepEqual(held, [...model].sort());
      }
      assert.equal(store.revision, runs.length);
    });
  });
}

async function increment(store: Datastore): Promise<void> {
  for (;;) {
    const row = await store.get('meta', 'n');
    const next = String(Number(row?.value.value) + 1);
    try {
      await store.commit([meta('n', next)], [{ kind: 'meta', key: 'n', revision: row?.revision ?? 0 }]);
      return;
    } catch (error) {
      if (!hasCode(error, 'datastore_conflict')) throw error;
    }
  }
}
