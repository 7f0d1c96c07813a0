import assert from 'node:assert/strict';
import { appendFile, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { AuthorityRecord } from '../../../src/server/model.js';
import { verifyLog } from '../../../src/server/record/verify.js';
import { exportSpki } from '../../../src/x509/spki.js';
import { rejectsCode } from '../../support/rejects-async.js';
import { allowWrite, eventsOf, jwtSigner, recordWorld } from './world.js';

const FIRST = '0000000000000001.jsonl';

test('an end that was cut off behind the server is told, and every verification fails until it is put back', async (t) => {
  const world = await recordWorld(t);
  const log = await world.open();
  for (const name of ['a', 'b', 'c']) {
    await log.store.commit([allowWrite(name)]);
    await log.flushed();
  }
  await log[Symbol.asyncDispose]();
  const path = join(world.directory, FIRST);
  const whole = await readFile(path, 'utf8');
  await writeFile(path, `${whole.split('\n').slice(0, 3).join('\n')}\n`);
  await using again = await world.open();
  const damaged = await eventsOf(again, { names: ['record_damaged'] });
  assert.deepEqual(
    damaged.map(({ fields }) => fields['what']),
    ['truncated'],
  );
  const { problem } = await again.verify();
  assert.equal(problem?.code, 'record_chain_broken');
  assert.match(problem?.message ?? '', /begins with line 6, where line 4 follows/);
  // A copy of the file from before: the chain is whole again but for what was never confirmed.
  await writeFile(path, `${whole.split('\n').slice(0, 5).join('\n')}\n`);
  assert.equal((await again.verify()).problem, undefined);
});

test('a log that is gone is gone on with, and misses its lines for ever', async (t) => {
  const world = await recordWorld(t);
  const log = await world.open();
  await log.store.commit([allowWrite('a')]);
  await log.flushed();
  await log.store.commit([allowWrite('b')]);
  await log.flushed();
  await log[Symbol.asyncDispose]();
  await rm(world.directory, { recursive: true });
  await using again = await world.open();
  assert.equal(again.server, log.server);
  const { problem } = await again.verify();
  assert.match(problem?.message ?? '', /begins with line 5, where line 1 follows/);
});

test('a line that was changed in the last segment is told at the next start and stays as it is', async (t) => {
  const world = await recordWorld(t);
  const log = await world.open();
  await log.store.commit([allowWrite('a')]);
  await log.flushed();
  await log.store.commit([allowWrite('b')]);
  await log.flushed();
  await log[Symbol.asyncDispose]();
  await world.edit(FIRST, (text) => text.replace('"epoch":"memory-epoch"', '"epoch":"another-one!"'));
  await using again = await world.open();
  const damaged = await eventsOf(again, { names: ['record_damaged'] });
  assert.deepEqual(
    damaged.map(({ fields }) => fields['what']),
    ['unreadable'],
  );
  assert.match(
    (await again.verify()).problem?.message ?? '',
    /0001\.jsonl, byte 0, line 1: a line of the record/,
  );
});

test('a rewritten end whose hashes fit is told, since the datastore knows another one', async (t) => {
  const world = await recordWorld(t);
  const log = await world.open();
  await log.store.commit([allowWrite('a')]);
  await log.flushed();
  await log.store.commit([allowWrite('b')]);
  await log.flushed();
  await log[Symbol.asyncDispose]();
  const other = await recordWorld(t);
  const foreign = await other.open();
  for (const name of ['x', 'y', 'z']) await foreign.store.commit([allowWrite(name)]);
  await foreign.flushed();
  await foreign[Symbol.asyncDispose]();
  await writeFile(join(world.directory, FIRST), await readFile(join(other.directory, FIRST)));
  await using again = await world.open();
  assert.deepEqual(
    (await eventsOf(again, { names: ['record_damaged'] })).map(({ fields }) => fields['what']),
    ['altered'],
  );
  assert.match((await again.verify()).problem?.message ?? '', /./);
});

test('segments end with a checkpoint, and old ones go with a signed root when they are kept for a time only', async (t) => {
  const world = await recordWorld(t);
  const log = await world.open({ segmentBytes: 1500, keep: 1000 });
  for (let i = 0; i < 12; i += 1) {
    await log.store.commit([allowWrite(`host-${i}`)]);
    await log.flushed();
    world.clock.advance(400);
  }
  const pruned = await eventsOf(log, { names: ['record_pruned'] });
  assert.ok(pruned.length > 0);
  const files = await world.files();
  assert.ok(files.includes('root.json') && !files.includes(FIRST));
  const report = await log.verify();
  assert.equal(report.problem, undefined);
  assert.ok(report.first > 1 && report.segments >= 1);
  await log[Symbol.asyncDispose]();
  // The key that signed the root is long gone from the bundle: the log tells of the removal itself.
  const later = jwtSigner('key-2');
  world.authority.signer = later;
  world.authority.published = [later];
  await using again = await world.open({ segmentBytes: 1500 });
  assert.equal((await again.verify()).problem, undefined);
  await world.edit('root.json', (text) => text.replace(/"checkpoint":"[^.]*/, '"checkpoint":"e30'));
  assert.equal((await again.verify()).problem?.code, 'record_checkpoint_invalid');
});

test('lines that are younger than those behind them, since the clock was set back, are kept for as long as any', async (t) => {
  const world = await recordWorld(t);
  await using log = await world.open({ segmentBytes: 1500, keep: 1000 });
  const write = async (name: string) => {
    await log.store.commit([allowWrite(name)]);
    await log.flushed();
    world.clock.advance(400);
  };
  world.clock.advance(100_000);
  for (let i = 0; i < 4; i += 1) await write(`early-${i}`);
  world.clock.advance(-100_000);
  for (let i = 0; i < 12; i += 1) await write(`late-${i}`);
  const early = async () => (await world.lines()).filter((line) => line.includes('early-')).length;
  assert.equal(await early(), 4);
  world.clock.advance(110_000);
  for (let i = 0; i < 12; i += 1) await write(`later-${i}`);
  assert.equal(await early(), 0);
  assert.equal((await log.verify()).problem, undefined);
});

test('a listing is never in the way of a removal, nor a removal in its', async (t) => {
  const world = await recordWorld(t);
  await using log = await world.open({ segmentBytes: 1200, keep: 1 });
  for (let i = 0; i < 30; i += 1) {
    await log.store.commit([allowWrite(`host-${i}`)]);
    world.clock.advance(100);
    const [page] = await Promise.all([eventsOf(log), log.flushed()]);
    assert.ok(page.length > 0);
  }
  assert.ok(!(await world.files()).includes(FIRST));
});

test('authorities that the log publishes vouch for later checkpoints; the bundle alone begins it', async (t) => {
  const world = await recordWorld(t);
  const log = await world.open();
  const next = jwtSigner('key-2');
  const record: AuthorityRecord = {
    id: 'key-2',
    purpose: 'jwt',
    slot: 'prepared',
    tainted: false,
    keyName: 'k',
    chain: [],
    published: exportSpki(next.key).toString('base64'),
    upstreamAuthorityId: '',
    issuedAt: 1,
    expiresAt: 2,
  };
  await log.store.commit([{ kind: 'authority', key: 'jwt/key-2', value: record }]);
  await log.verify();
  const old = world.keys();
  world.authority.signer = next;
  world.authority.published = [next];
  await log.store.commit([allowWrite('a')]);
  const now = await log.verify();
  // From the newest key backwards: the first checkpoints are covered by the last one, though their key is unknown.
  assert.deepEqual([now.problem, now.checkpoints, now.verified], [undefined, 3, 1]);
  const { directory } = world;
  const offline = await verifyLog({ directory, keys: old });
  assert.deepEqual([offline.problem, offline.verified, offline.covered], [undefined, 3, now.covered]);
  const nobody = await verifyLog({ directory, keys: new Map([['key-9', next.key]]) });
  assert.equal(nobody.problem?.code, 'record_unsigned');
  const wrong = await verifyLog({
    directory,
    keys: new Map([['key-1', [...world.keys().values()][0] ?? next.key]]),
  });
  assert.match(wrong.problem?.message ?? '', /line 3: .*is not signed by the key key-1/);
  await log[Symbol.asyncDispose]();
});

test('a line that is known from elsewhere must be in the log', async (t) => {
  const world = await recordWorld(t);
  const log = await world.open();
  await log.close();
  const { head } = log;
  await log[Symbol.asyncDispose]();
  const verify = (expected: typeof head) =>
    verifyLog({ directory: world.directory, keys: world.keys(), expected: [expected] });
  assert.equal((await verify(head)).problem, undefined);
  assert.equal((await verify({ ...head, hash: '1'.repeat(64) })).problem?.code, 'record_chain_broken');
  const beyond = await verify({ ...head, seq: head.seq + 1 });
  assert.deepEqual(
    [beyond.problem?.code, beyond.problem?.message],
    [
      'record_truncated',
      `the record ends at line ${head.seq}, and line ${head.seq + 1} is known to have been written`,
    ],
  );
});

test('only one verification runs at a time', async (t) => {
  const world = await recordWorld(t);
  await using log = await world.open();
  const first = log.verify();
  await rejectsCode('record_busy', /is being verified already/, log.verify());
  assert.equal((await first).problem, undefined);
});

test('a folder that is not there is no log', async (t) => {
  const world = await recordWorld(t);
  const verified = verifyLog({ directory: join(world.directory, 'none'), keys: new Map() });
  await rejectsCode('record_unreadable', /cannot read .*none/, verified);
});

test('listings are filtered, paged and turned, over segments', async (t) => {
  const world = await recordWorld(t);
  await using log = await world.open({ segmentBytes: 1200 });
  for (let i = 0; i < 9; i += 1) {
    world.clock.advance(1000);
    await log.store.commit([allowWrite(`h${i}`)]);
    await log.flushed();
  }
  const names = ['host_allowed'];
  const base = { from: 0, newestFirst: false, limit: 4, names, subject: '', since: 0 };
  const first = await log.list(base);
  const second = await log.list({ ...base, from: first.next });
  const third = await log.list({ ...base, from: second.next });
  const shown = [first, second, third].map(({ events }) => events.map(({ fields }) => fields['name']));
  assert.deepEqual(shown, [['h0', 'h1', 'h2', 'h3'], ['h4', 'h5', 'h6', 'h7'], ['h8']]);
  const newest = await log.list({ ...base, newestFirst: true });
  const older = await log.list({ ...base, newestFirst: true, from: newest.next });
  assert.deepEqual(
    [newest, older].map(({ events }) => events.map(({ fields }) => fields['name'])),
    [
      ['h8', 'h7', 'h6', 'h5'],
      ['h4', 'h3', 'h2', 'h1'],
    ],
  );
  const one = await log.list({ ...base, subject: allowWrite('h3').key });
  assert.equal(one.events.length, 1);
  const since = await log.list({ ...base, since: world.clock.now() - 1500, limit: 100 });
  assert.deepEqual(
    since.events.map(({ fields }) => fields['name']),
    ['h7', 'h8'],
  );
  await appendFile(join(world.directory, FIRST), 'rubbish\n');
  assert.equal((await log.list({ ...base, limit: 100 })).unreadable, 1);
});
