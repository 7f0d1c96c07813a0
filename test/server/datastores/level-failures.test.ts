import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after as afterAll, describe, test } from 'node:test';
import { Level } from 'level';
import type { Write } from '../../../src/server/datastores/contract.js';
import { bytesToReopen, probeSpace, saysFull } from '../../../src/server/datastores/disk-space.js';
import { openLevelDatastore } from '../../../src/server/datastores/level.js';

const scratch = await mkdtemp(join(tmpdir(), 'touchmark-failed-'));
let count = 0;
const fresh = () => join(scratch, String(count++));
const meta = (key: string, value: string): Write => ({ kind: 'meta', key, value: { value } });
afterAll(() => rm(scratch, { recursive: true, force: true }));

interface Rule {
  readonly applied: boolean;
  readonly fails: boolean;
  readonly with?: Error;
}

/** What is handed over one by one, as small writes are. */
interface Chained {
  write(options: object): Promise<void>;
}

for (const [size, after] of [
  ['small', 'after'],
  ['large', 'after'.repeat(400_000)],
] as const)
  describe(`a ${size} write that failed half-way`, () => {
    const original = Level.prototype.batch;
    const full = () => new Error('IO error: 000003.log: No space left on device');
    afterAll(() => {
      Level.prototype.batch = original;
    });

    /** Runs the next batches by these rules: whether each is applied, and whether it then says that it failed. */
    function script(...rules: readonly Rule[]): void {
      const left = [...rules];
      const written = async (write: () => Promise<void>) => {
        const rule = left.shift() ?? { applied: true, fails: false };
        if (rule.applied) await write();
        if (rule.fails) throw rule.with ?? full();
      };
      Level.prototype.batch = function batch(this: Level, ...args: unknown[]) {
        if (args.length > 0) return written(() => Reflect.apply(original, this, args));
        const chained = Reflect.apply(original, this, []) as unknown as Chained;
        const write = chained.write.bind(chained);
        return Object.assign(chained, { write: (options: object) => written(() => write(options)) });
      } as unknown as typeof original;
    }
    const ghost = { applied: true, fails: true };
    const refused = { applied: false, fails: true };
    const good = { applied: true, fails: false };

    test('but is in the log after all is taken back, and written again once', async () => {
      const path = fresh();
      await using store = await openLevelDatastore(path);
      await store.commit([meta('a', 'before'), meta('gone', 'x')]);
      script(ghost, good, good);
      assert.equal(await store.commit([meta('a', after), { kind: 'meta', key: 'gone', deleted: true }]), 2);
      script();
      assert.deepEqual(await store.list('meta'), [{ key: 'a', value: { value: after }, revision: 2 }]);
    });

    test('and fails again is refused, and nothing of it is ever seen', async () => {
      const path = fresh();
      const store = await openLevelDatastore(path);
      await store.commit([meta('a', 'before'), meta('gone', 'x')]);
      for (const rules of [
        [refused, refused],
        [ghost, good, ghost],
        [ghost, good, refused],
      ]) {
        script(...rules);
        const change = store.commit([
          meta('a', after),
          meta('b', 'new'),
          { kind: 'meta', key: 'gone', deleted: true },
        ]);
        await assert.rejects(change, {
          code: 'datastore_full',
          message: `the disk of the datastore ${path} is full`,
        });
        script();
        assert.equal(store.revision, 1);
        await store.commit([], [{ kind: 'meta', key: 'a', revision: 1 }]);
        assert.deepEqual(
          (await store.list('meta')).map(({ key, revision }) => [key, revision]),
          [
            ['a', 1],
            ['gone', 1],
          ],
        );
      }
      await store[Symbol.asyncDispose]();
      await using again = await openLevelDatastore(path);
      assert.equal(again.revision, 1);
      assert.equal((await again.list('meta')).length, 2);
    });

    test('of another cause than a full disk is told as it is', async () => {
      await using store = await openLevelDatastore(fresh());
      const broken = { ...refused, with: new Error('IO error: Input/output error') };
      script(broken, broken);
      await assert.rejects(store.commit([meta('a', '1')]), {
        code: 'datastore_failed',
        message: 'the datastore failed: IO error: Input/output error',
      });
      script();
      assert.equal(await store.commit([meta('a', '1')]), 1);
    });

    test('and whose directory is gone has a sentence, and reading goes on', async () => {
      const path = fresh();
      await using store = await openLevelDatastore(path);
      await store.commit([meta('a', '1')]);
      script(refused);
      await rm(path, { recursive: true });
      for (let times = 0; times < 2; times += 1) {
        await assert.rejects(store.commit([meta('a', '2')]), {
          code: 'datastore_failed',
          message: new RegExp(`^the datastore failed: ENOENT: .*'${path}'$`),
        });
      }
      script();
      assert.equal((await store.get('meta', 'a'))?.value.value, '1');
    });

    test('does not disturb those who read meanwhile', async () => {
      await using store = await openLevelDatastore(fresh());
      await store.commit([meta('a', '1')]);
      script(ghost, good, good);
      const writing = store.commit([meta('a', '2')]);
      const reads = Array.from({ length: 200 }, () => store.get('meta', 'a'));
      for (const row of await Promise.all(reads)) assert.match(row?.value.value ?? '', /^[12]$/);
      assert.equal(await writing, 2);
    });
  });

test('room on a disk is found out by writing, and nothing is left of it', async () => {
  const path = fresh();
  const store = await openLevelDatastore(path);
  await store.commit([meta('a', 'x'.repeat(300_000))]);
  const needed = await bytesToReopen(path);
  assert.ok(needed > 300_000 && needed < 2_000_000, `${needed} bytes`);
  assert.equal(await probeSpace(path, needed), undefined);
  assert.ok(!(await readdir(path)).includes('space-probe.tmp'));
  await store[Symbol.asyncDispose]();
  assert.match(String(await probeSpace(join(path, 'missing'), 1)), /ENOENT/);
});

test('what a killed probe has left is removed at the next start', async () => {
  const path = fresh();
  await (await openLevelDatastore(path))[Symbol.asyncDispose]();
  await writeFile(join(path, 'space-probe.tmp'), 'x');
  await using store = await openLevelDatastore(path);
  assert.equal(store.revision, 0);
  assert.ok(!(await readdir(path)).includes('space-probe.tmp'));
});

test('a full disk, a quota and a size limit are known by code and by words, also as a cause', () => {
  for (const code of ['ENOSPC', 'EDQUOT', 'EFBIG'])
    assert.ok(saysFull(Object.assign(new Error('x'), { code })));
  for (const words of ['IO error: 1.log: No space left on device', 'Disk quota exceeded', 'File too large']) {
    assert.ok(saysFull(new Error('outer', { cause: new Error(words) })));
  }
  for (const other of [new Error('Input/output error'), undefined, 'ENOSPC'])
    assert.equal(saysFull(other), false);
});
