import assert from 'node:assert/strict';
import { appendFile, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Write } from '../../../src/server/datastores/contract.js';
import type { AuthorityRecord } from '../../../src/server/model.js';
import { actingFor } from '../../../src/server/record/actor.js';
import { verifyLog } from '../../../src/server/record/verify.js';
import { exportSpki } from '../../../src/x509/spki.js';
import { until } from '../../fakes/manual-clock.js';
import { rejectsCode } from '../../support/rejects-async.js';
import { allowWrite, eventsOf, jwtSigner, namesOf, recordWorld } from './world.js';

const FIRST = '0000000000000001.jsonl';

test('a commit is recorded in the batch that makes it, with who asked, and follows the line before it', async (t) => {
  const world = await recordWorld(t);
  await using log = await world.open();
  const caller = { via: 'unix', uid: 7, gid: 7, pid: 1, role: 'admin' } as const;
  const revision = await actingFor(caller, () => log.store.commit([allowWrite('web-1')]));
  const inStore = await world.store.list('event');
  assert.equal(inStore.at(-1)?.revision, revision);
  const [event] = (await eventsOf(log)).slice(-1);
  assert.deepEqual(
    [event?.name, event?.by, event?.storeRevision, event?.fields],
    ['host_allowed', 'uid 7', revision, { labels: [], name: 'web-1' }],
  );
  const names = await namesOf(log);
  assert.deepEqual(names, ['record_started', 'server_started', 'checkpoint', 'host_allowed']);
  const report = await log.verify();
  assert.equal(report.problem, undefined);
  assert.deepEqual([report.events, report.checkpoints, report.covered], [5, 2, 4]);
});

test('what changes nothing that is recorded leaves no line, and is not looked at', async (t) => {
  const world = await recordWorld(t);
  await using log = await world.open();
  await log.store.commit([{ kind: 'meta', key: 'x', value: { value: '1' } }]);
  assert.deepEqual(await namesOf(log), ['record_started', 'server_started', 'checkpoint']);
  assert.deepEqual(await world.store.list('event'), []);
});

test('rows that are in the log leave the datastore with the next commit that is recorded', async (t) => {
  const world = await recordWorld(t);
  await using log = await world.open();
  for (const name of ['a', 'b', 'c']) {
    await log.store.commit([allowWrite(name)]);
    await log.flushed();
  }
  assert.equal((await world.store.list('event')).length, 1);
  const head = JSON.parse((await world.store.get('meta', 'record_head'))?.value.value ?? '');
  assert.equal(head.seq, 5);
  assert.equal(head.server, log.server);
});

test('a refused commit leaves no event, and its own conditions are refused as ever', async (t) => {
  const world = await recordWorld(t);
  await using log = await world.open();
  const write = allowWrite('a');
  const absent = { kind: 'allowed_ek', key: write.key, revision: 5 } as const;
  const refused = log.store.commit([write], [absent]);
  await rejectsCode('datastore_conflict', /allowed_ek should be at revision 5 but does not exist/, refused);
  assert.equal((await namesOf(log)).includes('host_allowed'), false);
});

test('two writers of one record who mind nothing of each other are both recorded, with what each found', async (t) => {
  const world = await recordWorld(t);
  await using log = await world.open();
  const head = (hash: string): Write => ({
    kind: 'measure_head',
    key: 'MeasurementPolicy/p',
    value: { hash, at: 1, by: 'uid 0' },
  });
  await Promise.all(['one', 'two', 'three'].map((hash) => log.store.commit([head(hash)])));
  const published = await eventsOf(log, { names: ['measure_published'] });
  assert.equal(published.length, 3);
  const chain = published.map(({ fields }) => [fields['hash_before'], fields['hash']]);
  assert.equal(chain[0]?.[0], undefined);
  assert.deepEqual(
    chain.slice(1).map(([before]) => before),
    chain.slice(0, -1).map(([, hash]) => hash),
  );
});

test('events that a crash kept from the log are written at the next start, once, and a torn line is cut off', async (t) => {
  const world = await recordWorld(t);
  const log = await world.open();
  await log.store.commit([allowWrite('a')]);
  await log.store.commit([allowWrite('b')]);
  await log.flushed();
  await log[Symbol.asyncDispose]();
  const path = join(world.directory, FIRST);
  const text = await readFile(path, 'utf8');
  // The crash: of the last line a part reached the disk.
  await truncate(path, text.length - 40);
  await using again = await world.open();
  const names = await namesOf(again);
  assert.equal(names.filter((name) => name === 'host_allowed').length, 2);
  assert.deepEqual(names.slice(4), ['record_repaired', 'host_allowed', 'server_started', 'checkpoint']);
  assert.equal((await again.verify()).problem, undefined);
});

test('a commit of which some lines reached the disk is completed, not repeated', async (t) => {
  const world = await recordWorld(t);
  const log = await world.open();
  await log.store.commit(['a', 'b', 'c'].map(allowWrite));
  await log.flushed();
  await log[Symbol.asyncDispose]();
  const path = join(world.directory, FIRST);
  const lines = (await readFile(path, 'utf8')).split('\n');
  await writeFile(path, `${lines.slice(0, 5).join('\n')}\n${lines[5]?.slice(0, 10)}`);
  await using again = await world.open();
  const allowed = await eventsOf(again, { names: ['host_allowed'] });
  assert.deepEqual(
    allowed.map(({ fields }) => fields['name']),
    ['a', 'b', 'c'],
  );
  assert.equal(new Set(allowed.map(({ storeRevision }) => storeRevision)).size, 1);
});

test('a crash before any line was written loses nothing', async (t) => {
  const world = await recordWorld(t);
  const log = await world.open();
  await log.flushed();
  await log[Symbol.asyncDispose]();
  // As if the process had died between the batch and the file: the row is there, the line is not.
  const orphan = { at: 5, by: 'uid 3', events: [{ name: 'host_allowed', subject: 'x', fields: {} }] };
  await world.store.commit([{ kind: 'event', key: '0000000000000000001', value: orphan }]);
  await using again = await world.open();
  const [event] = await eventsOf(again, { names: ['host_allowed'] });
  assert.deepEqual([event?.by, event?.at, event?.subject], ['uid 3', 5, 'x']);
});

test('a disk that refuses holds nothing up: events wait in the datastore, and are written when it takes them', async (t) => {
  const world = await recordWorld(t);
  const log = await world.open({ segmentBytes: 1 });
  await log.flushed();
  await rm(world.directory, { recursive: true });
  await log.store.commit([allowWrite('a')]);
  await rejectsCode('record_failed', /the record of events cannot be written: ENOENT/, log.flushed());
  assert.equal((await world.store.list('event')).length, 1);
  await log[Symbol.asyncDispose]();
  await using again = await world.open();
  assert.equal((await namesOf(again)).includes('host_allowed'), true);
});

test('lines are signed after five minutes with something new, and an idle log sets no timer', async (t) => {
  const world = await recordWorld(t);
  await using log = await world.open();
  assert.equal(world.clock.timers, 0);
  await log.store.commit([allowWrite('a')]);
  await log.flushed();
  assert.equal(world.clock.timers, 1);
  world.clock.advance(5 * 60_000);
  await until('it is signed', () => log.head.seq === 5);
  assert.equal((await namesOf(log)).at(-1), 'checkpoint');
  assert.equal(world.clock.timers, 0);
});

test('a thousand events bring a checkpoint by themselves', async (t) => {
  const world = await recordWorld(t);
  await using log = await world.open();
  const writes = Array.from({ length: 1000 }, (_, i) => allowWrite(`host-${i}`));
  await log.store.commit(writes);
  await log.flushed();
  const checkpoints = await eventsOf(log, { names: ['checkpoint'] });
  assert.deepEqual(
    checkpoints.map(({ seq }) => seq),
    [3, 1004],
  );
});

test('the orderly end is a line and a checkpoint, and the next start goes on behind them', async (t) => {
  const world = await recordWorld(t);
  const log = await world.open();
  await log.close();
  await log[Symbol.asyncDispose]();
  await using again = await world.open();
  assert.deepEqual((await namesOf(again)).slice(3), [
    'server_stopping',
    'checkpoint',
    'server_started',
    'checkpoint',
  ]);
  assert.equal(again.server, log.server);
});

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
