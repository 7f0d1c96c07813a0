import assert from 'node:assert/strict';
import test from 'node:test';
import { createLatest, waitFor } from '../../src/agent/latest.js';

const never = new AbortController().signal;

test('listeners are told of each new value, not of the same one again', () => {
  const latest = createLatest(1);
  const seen: number[] = [];
  const stop = latest.onChange(() => seen.push(latest.value));
  latest.set(1);
  latest.set(2);
  latest.set(2);
  latest.set(3);
  assert.deepEqual(seen, [2, 3]);
  stop();
  latest.set(4);
  assert.deepEqual([latest.value, ...seen], [4, 2, 3]);
});

test('one function that listens twice is told twice, and stops once at a time', () => {
  const latest = createLatest(0);
  let calls = 0;
  const listener = () => {
    calls += 1;
  };
  const first = latest.onChange(listener);
  latest.onChange(listener);
  latest.set(1);
  assert.equal(calls, 2);
  first();
  first();
  latest.set(2);
  assert.equal(calls, 3);
});

test('a listener that stops another while being told does not disturb the round', () => {
  const latest = createLatest(0);
  const seen: string[] = [];
  const stops: (() => void)[] = [];
  stops.push(
    latest.onChange(() => {
      seen.push('a');
      for (const stop of stops) stop();
    }),
  );
  stops.push(latest.onChange(() => seen.push('b')));
  latest.set(1);
  latest.set(2);
  assert.deepEqual(seen, ['a', 'b']);
});

test('a wait ends at once when what is waited for is there', async () => {
  const latest = createLatest<string | undefined>('here');
  assert.equal(await waitFor(latest, never, (value) => value), 'here');
});

test('a wait ends with the first value that fits', async () => {
  const latest = createLatest(0);
  const waiting = waitFor(latest, never, (value) => (value > 2 ? `got ${value}` : undefined));
  for (const value of [1, 2, 3, 4]) latest.set(value);
  assert.equal(await waiting, 'got 3');
});

test('a wait ends with undefined when the signal ends, before or during it', async () => {
  const latest = createLatest(0);
  const ended = new AbortController();
  const waiting = waitFor(latest, ended.signal, () => undefined);
  ended.abort();
  assert.equal(await waiting, undefined);
  const looked = () => assert.fail('nothing is looked at after the end');
  assert.equal(await waitFor(latest, ended.signal, looked), undefined);
});
