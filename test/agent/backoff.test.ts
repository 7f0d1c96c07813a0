import assert from 'node:assert/strict';
import test from 'node:test';
import { backoffMs, createBackoff, pause, renewalTime } from '../../src/agent/backoff.js';
import { manualClock, settle } from '../fakes/manual-clock.js';

test('waits double up to the cap, never shorter than half, and begin anew after a reset', () => {
  const low = createBackoff({ firstMs: 100, mostMs: 1_000 }, () => 0);
  assert.deepEqual(
    [0, 0, 0, 0, 0, 0].map(() => low.next()),
    [50, 100, 200, 400, 500, 500],
  );
  low.reset();
  assert.equal(low.next(), 50);
  const high = createBackoff({ firstMs: 100, mostMs: 1_000 }, () => 1);
  assert.deepEqual(
    [0, 0, 0, 0, 0].map(() => high.next()),
    [100, 200, 400, 800, 1_000],
  );
  assert.equal(high.attempts, 5);
});

test('a pause ends with its time, its signal or its waker, and leaves no timer behind', async () => {
  const clock = manualClock(0);
  const ended = new AbortController();
  let done = 0;
  const count = () => {
    done += 1;
  };
  let wake = () => {};
  const waker = (listener: () => void) => {
    wake = listener;
    return () => {};
  };
  void pause(clock, 10, ended.signal).then(count);
  void pause(clock, 1_000, ended.signal, waker).then(count);
  void pause(clock, 1_000, ended.signal).then(count);
  clock.advance(10);
  await settle();
  assert.equal(done, 1);
  wake();
  await settle();
  assert.equal(done, 2);
  ended.abort();
  await settle();
  assert.deepEqual([done, clock.timers], [3, 0]);
  await pause(clock, 1_000, ended.signal);
});

test('the wait after many failures is the cap, and never a number too large to compute with', () => {
  for (const attempts of [30, 31, 1_000, Number.MAX_SAFE_INTEGER]) {
    assert.equal(
      backoffMs({ firstMs: 1_000, mostMs: 60_000 }, attempts, () => 1),
      60_000,
    );
  }
});

test('renewal is at half of what is left, a tenth earlier or later', () => {
  const now = 1_000_000_000_000;
  const expiresAt = now / 1000 + 3600;
  assert.equal(
    renewalTime(now, expiresAt, () => 0.5),
    now + 1_800_000,
  );
  assert.equal(
    renewalTime(now, expiresAt, () => 0),
    now + 1_620_000,
  );
  assert.equal(Math.round(renewalTime(now, expiresAt, () => 1)), now + 1_980_000);
});

test('what ends at once, or has ended, is renewed in a second and not in none', () => {
  for (const left of [1, 0, -10, -1_000_000])
    assert.equal(
      renewalTime(5_000_000, 5_000 + left, () => 0.5),
      5_001_000,
    );
});
