import assert from 'node:assert/strict';
import { readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Write } from '../../../src/server/datastores/contract.js';
import { actingFor } from '../../../src/server/record/actor.js';
import { until } from '../../fakes/manual-clock.js';
import { rejectsCode } from '../../support/rejects-async.js';
import { allowWrite, eventsOf, namesOf, recordWorld } from './world.js';

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
