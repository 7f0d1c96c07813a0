import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLane, LaneTimeout, within } from '../../native/lane.js';

describe('a lane', () => {
  test('runs one task at a time, in order, and goes on after a failure', async () => {
    const lane = createLane();
    const events: string[] = [];
    const task = (name: string, ms: number, fail = false) =>
      lane.run(async () => {
        events.push(`${name} in`);
        await sleep(ms);
        events.push(`${name} out`);
        if (fail) throw new Error(`${name} failed`);
        return name;
      });
    const results = await Promise.allSettled([task('a', 20), task('b', 5, true), task('c', 1)]);
    assert.deepEqual(events, ['a in', 'a out', 'b in', 'b out', 'c in', 'c out']);
    assert.deepEqual(
      results.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled'],
    );
    await sleep(1);
    assert.equal(lane.length, 0);
  });

  test('counts what runs and waits, and survives a task that throws at once', async () => {
    const lane = createLane();
    const first = lane.run(() => {
      throw new Error('at once');
    });
    const second = lane.run(async () => lane.length);
    assert.equal(lane.length, 2);
    await assert.rejects(first, { message: 'at once' });
    assert.equal(await second, 1);
  });
});

describe('waiting within a limit', () => {
  test('gives the result, the error, or the time-out', async () => {
    assert.equal(await within(1000, Promise.resolve(7)), 7);
    await assert.rejects(within(1000, Promise.reject(new Error('no'))), { message: 'no' });
    await assert.rejects(within(10, sleep(200)), (error) => {
      assert.ok(error instanceof LaneTimeout);
      assert.equal(error.message, 'no answer within 10 ms');
      return true;
    });
  });
});
