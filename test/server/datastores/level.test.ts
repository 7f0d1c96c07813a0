import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { Level } from 'level';
import type { Write } from '../../../src/server/datastores/contract.js';
import { openDatastore } from '../../../src/server/datastores/datastore-table.js';
import { openLevelDatastore } from '../../../src/server/datastores/level.js';
import { testDatastore } from './contract.js';

const scratch = await mkdtemp(join(tmpdir(), 'touchmark-level-'));
let count = 0;
const fresh = () => join(scratch, String(count++));
const meta = (key: string, value: string): Write => ({ kind: 'meta', key, value: { value } });
after(() => rm(scratch, { recursive: true, force: true }));

testDatastore('level', () => openLevelDatastore(fresh()));

/** Opens the directory as LevelDB, past all our checks. */
async function tamper(path: string, change: (db: Level<string, string>) => Promise<void>): Promise<void> {
  const db = new Level<string, string>(path, { keyEncoding: 'utf8', valueEncoding: 'utf8' });
  await change(db);
  await db.close();
}

describe('level on disk', () => {
  test('records, revision and epoch survive closing', async () => {
    const path = fresh();
    const first = await openLevelDatastore(path);
    await first.commit([meta('a', '1')]);
    await first.commit([meta('b', '2'), { kind: 'meta', key: 'a', deleted: true }]);
    const { epoch } = first;
    await first[Symbol.asyncDispose]();
    await using again = await openDatastore({ type: 'level', path });
    assert.equal(again.epoch, epoch);
    assert.equal(again.revision, 2);
    assert.deepEqual(await again.list('meta'), [{ key: 'b', value: { value: '2' }, revision: 2 }]);
    assert.equal(await again.commit([meta('c', '3')]), 3);
  });

  test('two stores have two epochs, and the directory is for the owner alone', async () => {
    const path = fresh();
    await using one = await openLevelDatastore(path);
    await using two = await openLevelDatastore(fresh());
    assert.notEqual(one.epoch, two.epoch);
    assert.equal((await stat(path)).mode & 0o777, 0o700);
  });

  test('a second opener of the same directory is refused with a sentence', async () => {
    const path = fresh();
    await using store = await openLevelDatastore(path);
    await assert.rejects(openLevelDatastore(path), {
      code: 'datastore_locked',
      message: `the datastore directory ${path} is in use by another process`,
    });
    assert.equal(await store.commit([meta('a', '1')]), 1);
  });

  test('a closed store refuses reads and writes', async () => {
    const store = await openLevelDatastore(fresh());
    const pending = store.commit([meta('a', '1')]);
    await store[Symbol.asyncDispose]();
    assert.equal(await pending, 1);
    const closed = { code: 'datastore_failed', message: 'the datastore failed: it is closed' };
    await assert.rejects(store.get('meta', 'a'), closed);
    await assert.rejects(store.commit([meta('a', '2')]), closed);
  });

  test('concurrent commits share disk writes and keep their own revisions', async () => {
    await using store = await openLevelDatastore(fresh());
    const revisions = await Promise.all(
      Array.from({ length: 500 }, (_, i) => store.commit([meta(`${i}`, 'v')])),
    );
    assert.deepEqual(
      revisions,
      Array.from({ length: 500 }, (_, i) => i + 1),
    );
    assert.equal((await store.get('meta', '499'))?.revision, 500);
  });

  test('a listener that throws takes nothing from the commit and is seen', async () => {
    await using store = await openLevelDatastore(fresh());
    const seen: unknown[] = [];
    const handlers = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.once('uncaughtException', (error) => seen.push(error));
    try {
      store.subscribe(() => {
        throw new Error('a defect');
      });
      assert.equal(await store.commit([meta('a', '1')]), 1);
      await new Promise((resolve) => setImmediate(resolve));
    } finally {
      for (const handler of handlers) process.on('uncaughtException', handler);
    }
    assert.match(String(seen[0]), /a defect/);
  });
});

describe('a damaged level directory is never started with', () => {
  async function prepared(): Promise<string> {
    const path = fresh();
    await using store = await openLevelDatastore(path);
    for (let i = 0; i < 20; i++) await store.commit([meta(`k${i}`, 'v'.repeat(200))]);
    return path;
  }

  test('a record that is missing', async () => {
    const path = await prepared();
    await tamper(path, (db) => db.del('r!meta!k3'));
    await assert.rejects(openLevelDatastore(path), {
      code: 'datastore_corrupt',
      message: `the datastore is damaged: records are missing or changed (${path})`,
    });
  });

  test('a record that was changed, and one too many', async () => {
    for (const key of ['r!meta!k3', 'r!meta!new']) {
      const path = await prepared();
      await tamper(path, (db) => db.put(key, '4 {"value":"other"}'));
      await assert.rejects(openLevelDatastore(path), {
        code: 'datastore_corrupt',
        message: /missing or changed/,
      });
    }
  });

  test('a head record that is missing, torn or of another format', async () => {
    const path = await prepared();
    await tamper(path, (db) => db.del('head'));
    await assert.rejects(openLevelDatastore(path), { code: 'datastore_corrupt', message: /no head record/ });
    await tamper(path, (db) => db.put('head', '{"format":1,"epo'));
    await assert.rejects(openLevelDatastore(path), { code: 'datastore_corrupt', message: /is not JSON/ });
    await tamper(path, (db) => db.put('head', '{"format":1}'));
    await assert.rejects(openLevelDatastore(path), { code: 'datastore_corrupt', message: /is incomplete/ });
    await tamper(path, (db) => db.put('head', '{"format":2}'));
    await assert.rejects(openLevelDatastore(path), {
      code: 'datastore_format_unknown',
      message: `the datastore has format 2, this version reads format 1 (${path})`,
    });
  });

  test('a directory that lost its CURRENT file is not started afresh', async () => {
    const path = await prepared();
    await rm(join(path, 'CURRENT'));
    await assert.rejects(openLevelDatastore(path), { code: 'datastore_corrupt', message: /no CURRENT file/ });
  });

  test('a directory of something else is left alone', async () => {
    const path = await mkdtemp(join(scratch, 'foreign-'));
    await writeFile(join(path, 'notes.txt'), 'mine');
    await assert.rejects(openLevelDatastore(path), {
      code: 'datastore_failed',
      message: `the datastore directory ${path} holds files of something else (notes.txt)`,
    });
    assert.deepEqual(await readdir(path), ['notes.txt']);
  });

  test('a path that is a file', async () => {
    const path = fresh();
    await writeFile(path, '');
    await assert.rejects(openLevelDatastore(path), { code: 'datastore_failed', message: /cannot be opened/ });
  });

  test('a log damaged in its middle, and nothing is changed by having looked', async () => {
    const path = await prepared();
    const name = (await readdir(path)).find((file) => file.endsWith('.log')) ?? '';
    const log = await readFile(join(path, name));
    const broken = Buffer.from(log);
    broken[900] = (broken[900] ?? 0) ^ 0xff;
    await writeFile(join(path, name), broken);
    await assert.rejects(openLevelDatastore(path), {
      code: 'datastore_corrupt',
      message: new RegExp(
        `^the datastore is damaged: its log ${name} is broken at byte \\d+, before its end`,
      ),
    });
    await writeFile(join(path, name), log);
    await using store = await openLevelDatastore(path);
    assert.equal(store.revision, 20);
  });

  test('tables damaged or missing', async () => {
    const path = await prepared();
    await (await openLevelDatastore(path))[Symbol.asyncDispose]();
    const tables = (await readdir(path)).filter((name) => /\.(ldb|sst)$/.test(name));
    assert.ok(tables.length > 0);
    for (const table of tables) await rm(join(path, table));
    await assert.rejects(openLevelDatastore(path), { code: 'datastore_corrupt', message: /damaged/ });
  });
});
