import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSpread } from '../../../src/server/sessions/spread.js';
import { manualClock } from '../../fakes/manual-clock.js';

const MIB = 1024 * 1024;

function spreadOf(size: number) {
  const clock = manualClock();
  const told: number[] = [];
  const spread = createSpread<number>(
    clock,
    100 * MIB,
    () => size,
    (item) => void told.push(item),
  );
  return { clock, told, spread };
}

const fleet = Array.from({ length: 1000 }, (_, at) => at);

test('what is small reaches all at once', () => {
  const { told, spread, clock } = spreadOf(500);
  spread.begin(fleet);
  assert.equal(told.length, 1000);
  assert.equal(clock.timers, 0);
});

test('what is large reaches all, each once, at a bounded rate', () => {
  const { told, spread, clock } = spreadOf(2.5 * MIB);
  spread.begin(fleet);
  assert.equal(told.length, 4);
  clock.advance(1000);
  assert.equal(told.length, 44);
  clock.advance(30_000);
  assert.deepEqual(told, fleet);
  assert.equal(clock.timers, 0);
});

test('a newer change does not begin at the front again: those that wait come first', () => {
  const { told, spread, clock } = spreadOf(10 * MIB);
  spread.begin([1, 2, 3]);
  spread.begin([1, 2, 3]);
  clock.advance(1000);
  assert.deepEqual(told, [1, 2, 3, 1]);
  spread.begin([4, 5]);
  spread[Symbol.dispose]();
  clock.advance(1000);
  assert.deepEqual(told, [1, 2, 3, 1, 4]);
});
