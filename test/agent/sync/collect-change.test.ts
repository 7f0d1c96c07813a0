import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { ChangeCollector, MOST_ENTRIES } from '../../../src/agent/sync/collect-change.js';
import { makeEntry } from '../../fakes/entries.js';
import { delta, wholeSet } from '../../fakes/memory-server.js';

test('a change of one message is whole at once', () => {
  const collector = new ChangeCollector();
  const entry = makeEntry('a');
  assert.deepEqual(collector.take(delta(2n, [entry], ['b'])), {
    epoch: 'store-1',
    revision: 2n,
    full: false,
    upserts: [entry],
    removed: ['b'],
  });
});

test('however a change is cut into messages, it is the same change', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(5), { minLength: 1, maxLength: 10 }), fc.boolean(), (sizes, full) => {
      const collector = new ChangeCollector();
      let made = 0;
      const parts = sizes.map((size) => Array.from({ length: size }, () => makeEntry(`e${made++}`)));
      for (const [at, entries] of parts.entries()) {
        const last = at === parts.length - 1;
        // Only the first message has to say that this is the whole set.
        const taken = collector.take({ ...delta(2n, entries, [], !last), full: full && at === 0 });
        if (!last) assert.equal(taken, undefined);
        else assert.ok(typeof taken === 'object' && taken.upserts.length === made && taken.full === full);
      }
    }),
    { numRuns: 50 },
  );
});

test('another revision or another store in the middle is wrong', () => {
  const collector = new ChangeCollector();
  collector.take(wholeSet([], 1n));
  collector.take(delta(2n, [], [], true));
  assert.equal(collector.take(delta(3n, [])), 'revision 3 in the middle of revision 2');
  collector.take({ ...wholeSet([], 4n), more: true });
  assert.equal(
    collector.take({ ...delta(4n, []), epoch: 'store-2' }),
    'revision 4 in the middle of revision 4',
  );
});

test('after something was lost only a whole set is of use', () => {
  const collector = new ChangeCollector();
  const entry = makeEntry('a');
  collector.take(delta(2n, [entry], [], true));
  collector.broken();
  assert.equal(collector.take(delta(2n, [])), undefined, 'the rest of a change whose beginning is lost');
  assert.equal(collector.take(delta(3n, [entry])), undefined, 'a change on top of one that is missing');
  assert.equal(collector.take({ ...wholeSet([entry], 4n), more: true }), undefined);
  const whole = collector.take(delta(4n, []));
  assert.ok(typeof whole === 'object' && whole.full && whole.upserts.length === 1);
  assert.ok(typeof collector.take(delta(5n, [entry])) === 'object', 'changes count again');
});

test('what one change may collect is bounded, in entries and in messages', () => {
  const many = Array.from({ length: 50_000 }, () => 'x');
  const collector = new ChangeCollector();
  for (let at = 0; at < MOST_ENTRIES / many.length; at += 1)
    assert.equal(collector.take(delta(1n, [], many, true)), undefined);
  assert.equal(collector.take(delta(1n, [], ['one'], true)), 'more than 200000 entries in one change');
  const empty = new ChangeCollector();
  let answer: unknown;
  let sent = 0;
  while (answer === undefined && sent < 20_000) {
    answer = empty.take(delta(1n, [], [], true));
    sent += 1;
  }
  assert.deepEqual([answer, sent], ['more than 10000 messages in one change', 10_001]);
});

test('entries without the name of their store cannot be resumed from, and are not taken', () => {
  const collector = new ChangeCollector();
  assert.equal(collector.take({ ...wholeSet([], 1n), epoch: '' }), 'entries without the name of their store');
});
