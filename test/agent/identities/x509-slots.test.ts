import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import test from 'node:test';
import { Announcer } from '../../../src/agent/identities/announcer.js';
import { endOf, inUse, Slots } from '../../../src/agent/identities/x509-slots.js';
import { Waiters } from '../../../src/agent/identities/x509-waiters.js';
import { TouchmarkError } from '../../../src/errors.js';
import { makeEntry } from '../../fakes/entries.js';
import { settle } from '../../fakes/manual-clock.js';
import { rejectsCode } from '../../support/rejects-async.js';

const held = (issuedAt: number) => ({
  identity: { entry: makeEntry('a'), chain: [], key: new Uint8Array(), notBefore: 0, expiresAt: 100 },
  authority: 'one',
  issuedAt,
});

test('how many slots are wanted is counted once for each, whatever is done to them', () => {
  const slots = new Slots();
  slots.want('a');
  slots.want('a');
  slots.want('b');
  assert.equal(slots.wantedCount, 2);
  slots.unwant('a');
  slots.unwant('a');
  slots.unwant('absent');
  assert.equal(slots.wantedCount, 1);
  slots.delete('a');
  slots.delete('b');
  slots.delete('b');
  assert.deepEqual([slots.wantedCount, slots.all()], [0, []]);
});

test('what nobody uses goes first when there is too much, longest unused at its head', () => {
  const slots = new Slots();
  for (const [id, usedAt] of [
    ['a', 30],
    ['b', 10],
    ['c', 500],
    ['d', 20],
  ] as const)
    Object.assign(slots.want(id), { usedAt, held: held(100) });
  slots.want('empty');
  const surplus = (limit: number) => slots.surplus(limit, 200_000).map(({ entryId }) => entryId);
  assert.deepEqual(surplus(5), []);
  assert.deepEqual(surplus(3), ['b', 'd']);
  assert.deepEqual(surplus(0), ['b', 'd', 'a'], 'neither what is in use nor what is not there');
  slots.unwant('b');
  assert.deepEqual(surplus(3), ['d'], 'what is not wanted any more makes no room');
});

test('after a renewal the readers of the SVID before get a minute to come back', () => {
  const slots = new Slots();
  const slot = slots.want('a');
  assert.deepEqual([inUse(slot, 100_000), endOf(slot)], [false, 0]);
  slot.held = held(1_000);
  assert.deepEqual([inUse(slot, 1_000), endOf(slot)], [false, 100_000]);
  slot.usedAt = 1_000;
  assert.equal(inUse(slot, 9_999_999), true);
  slot.held = held(5_000);
  assert.equal(inUse(slot, 5_000), false);
  slot.usedBefore = true;
  assert.deepEqual([inUse(slot, 64_999), inUse(slot, 65_000)], [true, false]);
});

test('what is not there is in use while somebody who asked may take it, or comes back within a minute', () => {
  const slot = new Slots().want('a');
  slot.usedAt = 100_000;
  assert.deepEqual([inUse(slot, 159_999), inUse(slot, 160_000)], [true, false]);
  const stream = new AbortController();
  slot.readers.add(stream.signal);
  assert.equal(inUse(slot, 9_999_999), true);
  stream.abort();
  assert.deepEqual([inUse(slot, 9_999_999), slot.readers.size], [false, 0]);
});

test('each who waits is settled once, and leaves no listener behind', async () => {
  const waiters = new Waiters();
  const { signal } = new AbortController();
  const both = [waiters.wait(signal), waiters.wait(signal)];
  assert.deepEqual([waiters.any, getEventListeners(signal, 'abort').length], [true, 2]);
  waiters.resolve();
  waiters.reject(new TouchmarkError('svid_unavailable', 'too late'));
  await Promise.all(both);
  assert.deepEqual([waiters.any, getEventListeners(signal, 'abort').length], [false, 0]);
  const refused = rejectsCode('svid_unavailable', /^no$/, waiters.wait(signal));
  waiters.reject(new TouchmarkError('svid_unavailable', 'no'));
  await refused;
});

test('who goes away is told so, and the others wait on', async () => {
  const waiters = new Waiters();
  const leaving = new AbortController();
  const left = rejectsCode('svid_unavailable', /^the caller went away$/, waiters.wait(leaving.signal));
  const stays = waiters.wait(new AbortController().signal);
  leaving.abort();
  await left;
  assert.equal(waiters.any, true);
  waiters.resolve();
  await stays;
  await rejectsCode('svid_unavailable', /^the caller went away$/, waiters.wait(leaving.signal));
  assert.equal(waiters.any, false);
});

test('an announcer that was stopped tells nobody, not even of what it was about to tell', async () => {
  const announcer = new Announcer();
  let told = 0;
  announcer.listen(() => {
    told += 1;
  });
  announcer.soon();
  announcer.stop();
  await settle();
  assert.equal(told, 0);
  const stop = announcer.listen(() => {
    told += 1;
  });
  announcer.soon();
  announcer.soon();
  await settle();
  assert.equal(told, 1);
  stop();
  announcer.soon();
  await settle();
  assert.equal(told, 1);
});
