import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import test from 'node:test';
import { linkedTo, withDeadline } from '../../src/agent/signals.js';
import { manualClock } from '../fakes/manual-clock.js';

const listeners = (signal: AbortSignal) => getEventListeners(signal, 'abort').length;

test('a linked signal ends with its parent, for the same reason', () => {
  const parent = new AbortController();
  const linked = linkedTo(parent.signal);
  assert.equal(linked.signal.aborted, false);
  const reason = new Error('over');
  parent.abort(reason);
  assert.deepEqual([linked.signal.aborted, linked.signal.reason], [true, reason]);
});

test('a linked signal that ends leaves its parent alone', () => {
  const parent = new AbortController();
  const linked = linkedTo(parent.signal);
  linked.abort();
  assert.deepEqual([linked.signal.aborted, parent.signal.aborted], [true, false]);
});

test('a link to a signal that has ended has ended', () => {
  const parent = new AbortController();
  parent.abort('before');
  const linked = linkedTo(parent.signal);
  assert.deepEqual([linked.signal.aborted, linked.signal.reason], [true, 'before']);
  linked[Symbol.dispose]();
});

test('letting go ends nothing and leaves no listener behind', () => {
  const parent = new AbortController();
  const linked = linkedTo(parent.signal);
  assert.equal(listeners(parent.signal), 1);
  linked[Symbol.dispose]();
  assert.equal(listeners(parent.signal), 0);
  parent.abort();
  assert.equal(linked.signal.aborted, false);
});

test('work in time gives its result, and neither timer nor listener stays', async () => {
  const clock = manualClock();
  const { signal } = new AbortController();
  const result = await withDeadline({ clock, ms: 10, signal }, async (limited) => {
    assert.deepEqual([limited.aborted, clock.timers, listeners(signal)], [false, 1, 1]);
    return 'done';
  });
  assert.deepEqual([result, clock.timers, listeners(signal)], ['done', 0, 0]);
});

test('work that fails is cleaned up after as well, also when it fails before it begins to wait', async () => {
  const clock = manualClock();
  const { signal } = new AbortController();
  const limits = { clock, ms: 10, signal };
  const fail = () => {
    throw new Error('at once');
  };
  await assert.rejects(withDeadline(limits, fail), { message: 'at once' });
  await assert.rejects(
    withDeadline(limits, async () => fail()),
    { message: 'at once' },
  );
  assert.deepEqual([clock.timers, listeners(signal)], [0, 0]);
});

test('after its time the signal of the work ends, and so it does with the one it was given', async () => {
  const clock = manualClock();
  const ended = new AbortController();
  const limits = { clock, ms: 1_000, signal: ended.signal };
  const untilAborted = (limited: AbortSignal) =>
    new Promise<string>((resolve) => limited.addEventListener('abort', () => resolve('stopped')));
  const late = withDeadline(limits, untilAborted);
  clock.advance(999);
  assert.equal(clock.timers, 1);
  clock.advance(1);
  assert.equal(await late, 'stopped');
  const stopped = withDeadline(limits, untilAborted);
  ended.abort();
  assert.equal(await stopped, 'stopped');
  assert.equal(clock.timers, 0);
});
