import assert from 'node:assert/strict';
import test from 'node:test';
import { HEARTBEAT_MS, Pulse } from '../../../src/agent/sync/pulse.js';
import { manualClock } from '../../fakes/manual-clock.js';

function begin(random = 0.5) {
  const clock = manualClock(0);
  const beats: number[] = [];
  let cancelled = 0;
  const pulse = new Pulse(
    { clock, random: () => random },
    {
      heartbeat: () => beats.push(clock.now()),
      cancel: () => {
        cancelled += 1;
      },
    },
  );
  return { clock, pulse, beats, cancelled: () => cancelled };
}

test('beats come every fifteen seconds, a tenth earlier or later', () => {
  for (const [random, every] of [
    [0, 13_500],
    [0.5, 15_000],
    [1, 16_500],
  ] as const) {
    const { clock, pulse, beats } = begin(random);
    for (let at = 0; at < 4; at += 1) {
      clock.advance(every);
      pulse.heard();
    }
    assert.deepEqual(beats.map(Math.round), [every, every * 2, every * 3, every * 4]);
    pulse[Symbol.dispose]();
  }
});

test('a server that is silent for three beats is given up, one that speaks late is not', () => {
  const { clock, pulse, cancelled } = begin();
  clock.advance(HEARTBEAT_MS * 3 - 1);
  pulse.heard();
  clock.advance(HEARTBEAT_MS * 3 - 1);
  assert.deepEqual([pulse.silence, cancelled()], [undefined, 0]);
  clock.advance(1);
  assert.deepEqual(
    [pulse.silence?.code, pulse.silence?.message, cancelled()],
    ['session_lost', 'the server was silent for 45 seconds', 1],
  );
  pulse[Symbol.dispose]();
});

test('nothing goes on after the end', () => {
  const { clock, pulse, beats, cancelled } = begin();
  pulse[Symbol.dispose]();
  clock.advance(HEARTBEAT_MS * 10);
  assert.deepEqual([beats, cancelled(), clock.timers], [[], 0, 0]);
});
