import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLogger } from '../../../src/log.js';
import { joinTokenHash } from '../../../src/server/node-attestors/join-token.js';
import { startTokenPruner } from '../../../src/server/node-attestors/token-pruner.js';
import { manualClock, settle } from '../../fakes/manual-clock.js';
import { memoryDatastore } from '../../fakes/memory-datastore.js';

function world() {
  const clock = manualClock();
  const store = memoryDatastore();
  const lines: string[] = [];
  const write = (line: string) => void lines.push(line);
  const log = createLogger({ format: 'json', write, clock, journal: false }, 'debug');
  const now = Math.floor(clock.now() / 1000);
  const make = (token: string, seconds: number) => {
    const hash = joinTokenHash(token);
    return store.commit([
      { kind: 'join_token', key: hash, value: { hash, expiresAt: Math.floor(clock.now() / 1000) + seconds } },
    ]);
  };
  const left = async () => (await store.list('join_token')).map(({ value }) => value.expiresAt - now).sort();
  return { clock, store, lines, make, left, start: () => startTokenPruner({ store, clock, log }) };
}

test('each token goes at its own end, by one timer, those included that were there before', async () => {
  const { clock, lines, make, left, start } = world();
  await make('before', 30);
  using _pruner = await start();
  await make('late', 100);
  await make('soon', 10);
  assert.equal(clock.timers, 1);
  await clock.pass(9_999);
  assert.deepEqual(await left(), [10, 100, 30]);
  await clock.pass(1);
  assert.deepEqual(await left(), [100, 30]);
  await clock.pass(20_000);
  assert.deepEqual(await left(), [100]);
  await clock.pass(70_000);
  assert.deepEqual(await left(), []);
  assert.equal(clock.timers, 0);
  assert.equal(lines.filter((line) => line.includes('join tokens expired unused')).length, 3);
});

test('a token that ended while no server ran goes at once', async () => {
  const { clock, make, left, start } = world();
  await make('old', 10);
  clock.advance(60_000);
  using _pruner = await start();
  await clock.pass(1);
  assert.deepEqual(await left(), []);
});

test('a token that was used, and one that was made anew with a later end, are left alone', async () => {
  const { clock, store, make, left, start } = world();
  using _pruner = await start();
  await make('used', 10);
  await make('again', 10);
  await store.commit([{ kind: 'join_token', key: joinTokenHash('used'), deleted: true }]);
  await make('again', 50);
  const { revision } = store;
  await clock.pass(10_000);
  assert.deepEqual(await left(), [50]);
  assert.equal(store.revision, revision);
  await clock.pass(40_000);
  assert.deepEqual(await left(), []);
});

test('what cannot be removed is tried again, and said', async () => {
  const { clock, store, lines, make, left, start } = world();
  using _pruner = await start();
  await make('a', 10);
  store.failAsFull(true);
  await clock.pass(10_000);
  assert.deepEqual(await left(), [10]);
  assert.match(lines.join(''), /could not be removed.*the disk of the datastore is full/);
  store.failAsFull(false);
  await clock.pass(10_000);
  await settle();
  assert.deepEqual(await left(), []);
});

test('after the end of the pruner no timer is left', async () => {
  const { clock, make, start } = world();
  const pruner = await start();
  await make('a', 10);
  pruner[Symbol.dispose]();
  assert.equal(clock.timers, 0);
  await make('b', 5);
  assert.equal(clock.timers, 0);
});
