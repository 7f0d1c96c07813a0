import assert from 'node:assert/strict';
import test from 'node:test';
import { GrowthWatch } from '../../../src/agent/measure/growth.js';
import { fakeMeasurer } from '../../fakes/fake-measurer.js';
import { manualClock, settle } from '../../fakes/manual-clock.js';

async function begin(t: test.TestContext, entries: number | undefined) {
  const clock = manualClock();
  const measurer = fakeMeasurer();
  measurer.entries = entries;
  await measurer.beforeQuote();
  const announced: [at: number, entries: number][] = [];
  const start = clock.now();
  const watch = new GrowthWatch(clock, measurer, (count) => announced.push([clock.now() - start, count]));
  t.after(() => watch[Symbol.dispose]());
  await settle();
  return { clock, measurer, announced, watch };
}

test('growth is announced within a fifth of a second, once', async (t) => {
  const { clock, measurer, announced } = await begin(t, 100);
  await clock.pass(1_000, 200);
  assert.deepEqual(announced, []);
  measurer.entries = 101;
  await clock.pass(2_000, 200);
  assert.deepEqual(announced, [[1_200, 101]]);
});

test('a list that grows all the time is announced once a second', async (t) => {
  const { clock, measurer, announced } = await begin(t, 100);
  for (let step = 0; step < 20; step += 1) {
    measurer.entries = 101 + step;
    await clock.pass(200, 200);
  }
  assert.deepEqual(announced, [
    [200, 101],
    [1_200, 106],
    [2_200, 111],
    [3_200, 116],
  ]);
});

test('what evidence covers already is not announced', async (t) => {
  const { clock, measurer, announced } = await begin(t, 100);
  measurer.entries = 120;
  await measurer.beforeQuote();
  await clock.pass(1_000, 200);
  assert.deepEqual(announced, []);
  measurer.entries = 121;
  await clock.pass(200, 200);
  assert.deepEqual(announced, [[1_200, 121]]);
});

test('a node that never showed evidence announces what its list holds', async () => {
  const clock = manualClock();
  const measurer = fakeMeasurer();
  measurer.entries = 5;
  const announced: number[] = [];
  using watch = new GrowthWatch(clock, measurer, (entries) => announced.push(entries));
  await settle();
  assert.ok(watch);
  assert.deepEqual(announced, [5]);
});

test('a kernel without IMA is looked at once, and nobody looks after the end', async (t) => {
  const { clock, measurer } = await begin(t, undefined);
  assert.deepEqual([measurer.looks, clock.timers], [2, 0]);
  const other = await begin(t, 7);
  assert.equal(other.clock.timers, 1);
  const { looks } = other.measurer;
  await other.clock.pass(1_000, 200);
  assert.equal(other.measurer.looks, looks + 5);
  other.watch[Symbol.dispose]();
  assert.equal(other.clock.timers, 0);
});
