import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { DueQueue } from '../../../src/agent/identities/due-queue.js';
import { manualClock } from '../../fakes/manual-clock.js';

test('whatever is planned, moved and cancelled falls due once, in the order of its time', () => {
  const step = fc.record({
    key: fc.integer({ min: 0, max: 40 }),
    when: fc.integer({ min: 1, max: 500 }),
    drop: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const clock = manualClock(0);
      const due: [number, string][] = [];
      using queue = new DueQueue(clock, (keys) => {
        for (const key of keys) due.push([clock.now(), key]);
      });
      const planned = new Map<string, number>();
      for (const { key, when, drop } of steps) {
        if (drop) queue.cancel(String(key));
        else queue.at(String(key), when);
        if (drop) planned.delete(String(key));
        else planned.set(String(key), when);
      }
      assert.equal(queue.size, planned.size);
      assert.ok(clock.timers <= 1, 'one timer for all');
      clock.advance(1_000);
      assert.deepEqual(new Map(due.map(([at, key]) => [key, at])), planned);
      assert.equal(due.length, planned.size);
      assert.deepEqual(
        due.map(([at]) => at),
        due.map(([at]) => at).sort((a, b) => a - b),
      );
    }),
    { numRuns: 200 },
  );
});

test('what is planned while something falls due is kept', () => {
  const clock = manualClock(0);
  const due: string[] = [];
  const queue = new DueQueue(clock, (keys) => {
    for (const key of keys) {
      due.push(`${key}@${clock.now()}`);
      if (due.length < 3) queue.at(key, clock.now() + 10);
    }
  });
  queue.at('a', 5);
  clock.advance(100);
  assert.deepEqual(due, ['a@5', 'a@15', 'a@25']);
  assert.equal(clock.timers, 0);
});
