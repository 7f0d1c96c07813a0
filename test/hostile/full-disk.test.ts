import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { hasCode } from '../../src/errors.js';
import type { Commit, Datastore, Write } from '../../src/server/datastores/contract.js';
import { openLevelDatastore } from '../../src/server/datastores/level.js';
import { openDiskKeyManager } from '../../src/server/key-managers/disk.js';

const MIB = 1024 * 1024;

interface SmallDisk extends AsyncDisposable {
  readonly path: string;
  /** Leaves that many bytes free. */
  fill(leave: number): Promise<void>;
  free(): Promise<void>;
}

/** A file system of its own, in memory. Needs root; without it the test is skipped visibly, and in CI it fails. */
async function smallDisk(t: TestContext, size: number): Promise<SmallDisk | undefined> {
  const path = await mkdtemp(join(tmpdir(), 'touchmark-full-'));
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', path], {
    encoding: 'utf8',
  });
  if (mounted.status !== 0) {
    await rm(path, { recursive: true });
    const reason = `no small file system could be mounted: ${mounted.error?.message ?? mounted.stderr.trim()}`;
    if (process.env['CI'] === 'true') throw new Error(reason);
    t.skip(reason);
    return undefined;
  }
  const ballast = join(path, 'ballast');
  return {
    path,
    async fill(leave) {
      await using file = await open(ballast, 'w');
      const block = Buffer.alloc(4096, 1);
      let length = 0;
      try {
        for (; length < size; length += block.length) await file.write(block, 0, block.length, length);
      } catch (error) {
        assert.equal((error as { code?: unknown }).code, 'ENOSPC');
      }
      await file.truncate(Math.max(0, length - leave));
    },
    free: () => rm(ballast, { force: true }),
    async [Symbol.asyncDispose]() {
      const unmounted = spawnSync('umount', [path], { encoding: 'utf8' });
      assert.equal(unmounted.status, 0, unmounted.stderr);
      await rm(path, { recursive: true });
    },
  };
}

const put = (key: string, size = 900): Write => ({
  kind: 'meta',
  key,
  value: { value: key.padEnd(size, '.') },
});

/** Writes until the store refuses; returns the keys that it took. */
async function writeUntilFull(store: Datastore, prefix: string): Promise<string[]> {
  const taken: string[] = [];
  for (let n = 0; n < 20_000; n += 1) {
    try {
      await store.commit([put(`${prefix}-${n}-a`), put(`${prefix}-${n}-b`)]);
      taken.push(`${prefix}-${n}-a`, `${prefix}-${n}-b`);
    } catch (error) {
      assert.ok(hasCode(error, 'datastore_full'), String(error));
      assert.match(error.message, /^the disk of the datastore .* is full$/);
      return taken;
    }
  }
  throw new Error('the disk never filled up');
}

async function expectExactly(store: Datastore, keys: readonly string[]): Promise<void> {
  const held = (await store.list('meta')).map(({ key }) => key);
  assert.deepEqual(held.sort(), [...keys].sort());
}

test('a full disk refuses writes, keeps reading, and writes again when there is room', async (t) => {
  await using disk = await smallDisk(t, 24 * MIB);
  if (disk === undefined) return;
  const path = join(disk.path, 'store');
  const store = await openLevelDatastore(path);
  const heard: Commit[] = [];
  store.subscribe((commit) => heard.push(commit));
  const keys: string[] = [];
  for (let round = 0; round < 12; round += 1) {
    // Each time something else runs out first: the log in the middle of a record, a table, the manifest.
    await disk.fill(round * 40_960 + round * 512);
    keys.push(...(await writeUntilFull(store, `round${round}`)));
    const { revision } = store;
    for (let again = 0; again < 3; again += 1) {
      await assert.rejects(store.commit([put('refused', 4 * MIB)]), { code: 'datastore_full' });
    }
    assert.equal(store.revision, revision);
    assert.equal(await store.get('meta', 'refused'), undefined);
    await expectExactly(store, keys);
    await disk.free();
    assert.equal(await store.commit([put(`after${round}`)]), revision + 1);
    keys.push(`after${round}`);
    await expectExactly(store, keys);
  }
  assert.deepEqual(
    heard.map(({ revision }) => revision),
    Array.from({ length: heard.length }, (_, i) => i + 1),
  );
  await store[Symbol.asyncDispose]();
  await using again = await openLevelDatastore(path);
  await expectExactly(again, keys);
  assert.equal(again.revision, heard.length);
});

test('a store that is closed while its disk is full opens again with exactly what it acknowledged', async (t) => {
  await using disk = await smallDisk(t, 16 * MIB);
  if (disk === undefined) return;
  const path = join(disk.path, 'store');
  const keys: string[] = [];
  for (let round = 0; round < 5; round += 1) {
    {
      await using store = await openLevelDatastore(path);
      await disk.fill(round * 12_288);
      keys.push(...(await writeUntilFull(store, `round${round}`)));
    }
    await assert.rejects(openLevelDatastore(path), {
      code: 'datastore_full',
      message: `the datastore ${path} cannot be opened: the disk is full`,
    });
    await disk.free();
    await using store = await openLevelDatastore(path);
    await expectExactly(store, keys);
  }
});

test('many writers on a full disk are all refused, and all of them succeed later', async (t) => {
  await using disk = await smallDisk(t, 16 * MIB);
  if (disk === undefined) return;
  await using store = await openLevelDatastore(join(disk.path, 'store'));
  await disk.fill(0);
  const attempt = () =>
    Promise.allSettled(Array.from({ length: 40 }, (_, n) => store.commit([put(`w${n}`, 5000)])));
  const refused = (await attempt()).filter((result) => result.status === 'rejected');
  assert.ok(refused.length > 0);
  assert.ok(refused.every(({ reason }) => hasCode(reason, 'datastore_full')));
  await disk.free();
  assert.ok((await attempt()).every(({ status }) => status === 'fulfilled'));
  assert.equal((await store.list('meta')).length, 40);
});

test('a key that a full disk could not take is not held, and the keys of before are still there', async (t) => {
  await using disk = await smallDisk(t, MIB);
  if (disk === undefined) return;
  const path = join(disk.path, 'keys.json');
  await using keys = await openDiskKeyManager(path);
  const first = await keys.generate('first', 'ec-p256');
  await disk.fill(0);
  await assert.rejects(keys.generate('second', 'ec-p256'), {
    code: 'key_file_failed',
    message: /could not be written: ENOSPC/,
  });
  assert.equal(await keys.get('second'), undefined);
  await using again = await openDiskKeyManager(path);
  assert.equal((await again.get('first'))?.equals(first), true);
  await disk.free();
  await keys.generate('second', 'ec-p256');
});
