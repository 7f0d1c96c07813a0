import assert from 'node:assert/strict';
import test from 'node:test';
import { SlowCalls } from '../../src/host/slow-calls.js';
import { settle } from '../fakes/manual-clock.js';
import { rejectsCode } from '../support/rejects-async.js';

const calls = (timeoutMs = 20) => new SlowCalls({ most: 2, timeoutMs, mostWaiting: 3 });

/** A call that returns when the test says so. */
function hanging() {
  let back = () => {};
  const returned = new Promise<string>((resolve) => {
    back = () => resolve('late');
  });
  return { call: () => returned, back };
}

test('what a call gives or throws comes back', async () => {
  const slow = calls();
  assert.equal(await slow.run(1, async () => 'answer'), 'answer');
  await assert.rejects(
    slow.run(1, async () => {
      throw new Error('no such file');
    }),
    { message: 'no such file' },
  );
});

test('two run at a time, and users take turns', async () => {
  const slow = calls(5_000);
  const begun: string[] = [];
  const ends: (() => void)[] = [];
  const call = (name: string) => () => {
    begun.push(name);
    return new Promise<void>((resolve) => ends.push(resolve));
  };
  const all = [...['a1', 'a2', 'a3', 'a4'].map((name) => slow.run(1, call(name))), slow.run(2, call('b1'))];
  await settle();
  assert.deepEqual(begun, ['a1', 'a2']);
  for (let turn = 0; turn < 5; turn += 1) {
    ends[turn]?.();
    await settle();
  }
  await Promise.all(all);
  assert.deepEqual(begun, ['a1', 'a2', 'a3', 'b1', 'a4']);
});

test('who has a call hanging gets no other until it is back, and the others are not held up', async () => {
  const slow = calls();
  const { call, back } = hanging();
  await rejectsCode('file_system_hangs', /^a file of user 1 did not answer within 20 ms$/, slow.run(1, call));
  let asked = 0;
  const again = slow.run(1, async () => ++asked);
  await rejectsCode('file_system_hangs', /^an earlier look at a file of user 1 has not come back$/, again);
  assert.equal(await slow.run(2, async () => 'answer'), 'answer');
  assert.equal(asked, 0);
  back();
  await settle();
  assert.equal(await slow.run(1, async () => ++asked), 1);
});

test('when all hang, whoever waits is told so at once, and it works again once one is back', async () => {
  const slow = calls();
  const [one, two] = [hanging(), hanging()];
  const both = [slow.run(1, one.call), slow.run(2, two.call)];
  const waiting = slow.run(3, async () => 'answer');
  for (const late of both) await rejectsCode('file_system_hangs', /did not answer/, late);
  await rejectsCode('file_system_hangs', /^earlier looks at files have not come back$/, waiting);
  two.back();
  await settle();
  assert.equal(await slow.run(3, async () => 'answer'), 'answer');
});

test('what one user has waiting is bounded', async () => {
  const slow = calls(5_000);
  const { call, back } = hanging();
  const all = Array.from({ length: 5 }, () => slow.run(1, call));
  await rejectsCode('file_system_hangs', /^user 1 has too many files looked at$/, slow.run(1, call));
  back();
  await Promise.all(all);
});
