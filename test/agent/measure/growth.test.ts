import assert from 'node:assert/strict';
import test from 'node:test';
import { GrowthWatch } from '../../../src/agent/measure/growth.js';
import { TouchmarkError } from '../../../src/errors.js';
import { genuine } from '../../fakes/chip-world.js';
import { fakeMeasurer } from '../../fakes/fake-measurer.js';
import { manualClock, settle, until } from '../../fakes/manual-clock.js';
import { begin as beginSession } from './support.js';

async function begin(t: test.TestContext, entries: number | undefined) {
  const clock = manualClock();
  const measurer = fakeMeasurer();
  measurer.entries = entries;
  const announced: [at: number, entries: number][] = [];
  let at = 0;
  const watch = new GrowthWatch(clock, measurer, (count) => announced.push([at, count]));
  watch.covers(entries);
  t.after(() => watch[Symbol.dispose]());
  await settle();
  const pass = async (ms: number) => {
    for (const end = at + ms; at < end; ) {
      at += 200;
      await clock.pass(200, 200);
    }
  };
  return { clock, measurer, announced, watch, pass };
}

test('growth is announced within a fifth of a second, once', async (t) => {
  const { pass, measurer, announced } = await begin(t, 100);
  await pass(1_000);
  assert.deepEqual(announced, []);
  measurer.entries = 101;
  await pass(2_000);
  assert.deepEqual(announced, [[1_200, 101]]);
});

test('a list that grows all the time is announced once a second', async (t) => {
  const { pass, measurer, announced } = await begin(t, 100);
  for (let step = 0; step < 20; step += 1) {
    measurer.entries = 101 + step;
    await pass(200);
  }
  assert.deepEqual(announced, [
    [200, 101],
    [1_200, 106],
    [2_200, 111],
    [3_200, 116],
  ]);
});

test('what evidence covers already is not announced', async (t) => {
  const { pass, measurer, announced, watch } = await begin(t, 100);
  measurer.entries = 120;
  watch.covers(120);
  await pass(1_000);
  assert.deepEqual(announced, []);
  measurer.entries = 121;
  await pass(200);
  assert.deepEqual(announced, [[1_200, 121]]);
});

test('a session that never showed evidence announces what the list holds', async () => {
  const clock = manualClock();
  const measurer = fakeMeasurer();
  measurer.entries = 5;
  const announced: number[] = [];
  using watch = new GrowthWatch(clock, measurer, (entries) => announced.push(entries));
  await settle();
  assert.ok(watch);
  assert.deepEqual(announced, [5]);
});

test('what was announced is announced again when the evidence for it did not go out, after some peace', async (t) => {
  const { pass, measurer, announced, watch } = await begin(t, 100);
  measurer.entries = 101;
  await pass(200);
  watch.missed();
  await pass(10_000);
  assert.deepEqual(announced, [
    [200, 101],
    [5_200, 101],
  ]);
});

test('a failed quote leaves growth to be announced, evidence does not', async (t) => {
  let failing = true;
  const open = async () => {
    if (failing) throw new TouchmarkError('tpm_unavailable', 'the TPM is busy');
    return genuine();
  };
  const { clock, heard, measuring, tick } = beginSession(t, open, 7);
  await settle();
  assert.deepEqual(heard.growths, [7]);
  measuring.tick(tick());
  await settle();
  await clock.pass(5_000, 200);
  assert.deepEqual(heard.growths, [7, 7]);
  failing = false;
  measuring.tick(tick());
  await until('answered', () => heard.evidence.length === 1);
  await clock.pass(10_000, 200);
  assert.deepEqual(heard.growths, [7, 7]);
});

test('a clock that is set back does not stop announcements', async (t) => {
  const clock = manualClock();
  const measurer = fakeMeasurer();
  measurer.entries = 1;
  const announced: number[] = [];
  let back = 0;
  const shown = { ...clock, now: () => clock.now() - back };
  const watch = new GrowthWatch(shown, measurer, (entries) => announced.push(entries));
  t.after(() => watch[Symbol.dispose]());
  await settle();
  back = 3_600_000;
  measurer.entries = 2;
  await clock.pass(1_000, 200);
  assert.deepEqual(announced, [1, 2]);
});

test('a count that cannot be read for a moment is looked at again', async (t) => {
  const { pass, measurer, announced } = await begin(t, 100);
  measurer.entries = undefined;
  await pass(1_000);
  measurer.entries = 101;
  await pass(200);
  assert.deepEqual(announced, [[1_200, 101]]);
});

test('a kernel without IMA is looked at once, and nobody looks after the end', async (t) => {
  const { clock, measurer } = await begin(t, undefined);
  assert.deepEqual([measurer.looks, clock.timers], [1, 0]);
  const other = await begin(t, 7);
  assert.equal(other.clock.timers, 1);
  const { looks } = other.measurer;
  await other.pass(1_000);
  assert.equal(other.measurer.looks, looks + 5);
  other.watch[Symbol.dispose]();
  assert.equal(other.clock.timers, 0);
});
