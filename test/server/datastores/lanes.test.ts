import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { groupLane } from '../../../src/server/datastores/group-lane.js';
import { listeners } from '../../../src/server/datastores/listeners.js';
import { readGate } from '../../../src/server/datastores/read-gate.js';
import { serialLane } from '../../../src/server/datastores/serial-lane.js';

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('a group lane', () => {
  test('runs one group at a time, and what arrives meanwhile is the next, up to the limit', async () => {
    const groups: number[][] = [];
    let running = 0;
    const lane = groupLane<number, number>(async (jobs) => {
      assert.equal(++running, 1);
      groups.push([...jobs]);
      await turn();
      running -= 1;
      return jobs.map((job) => ({ result: job * 2 }));
    }, 3);
    const first = lane.add(0);
    await Promise.resolve();
    await Promise.resolve();
    const rest = [1, 2, 3, 4].map((job) => lane.add(job));
    assert.deepEqual(await Promise.all([first, ...rest]), [0, 2, 4, 6, 8]);
    assert.deepEqual(groups, [[0], [1, 2, 3], [4]]);
  });

  test('gives each job its own outcome, and goes on after a group that failed', async () => {
    const lane = groupLane<string, string>(async (jobs) => {
      if (jobs.includes('all')) throw new Error('the group failed');
      return jobs.map((job) => (job === 'one' ? { error: new Error('this one failed') } : { result: job }));
    }, 10);
    const together = await Promise.allSettled([lane.add('one'), lane.add('other')]);
    assert.deepEqual(
      together.map(({ status }) => status),
      ['rejected', 'fulfilled'],
    );
    await assert.rejects(lane.add('all'), { message: 'the group failed' });
    assert.equal(await lane.add('later'), 'later');
    await lane.drained();
  });

  test('a missing outcome is an error and not an eternal wait', async () => {
    const lane = groupLane<number, number>(async () => [], 10);
    await assert.rejects(lane.add(1), { message: 'the lane gave no outcome for a job' });
  });
});

describe('a serial lane', () => {
  test('runs tasks in their order, one at a time, also after one that failed', async () => {
    const lane = serialLane();
    const log: string[] = [];
    const task = (name: string) => async () => {
      log.push(`${name} begins`);
      await turn();
      log.push(`${name} ends`);
      if (name === 'b') throw new Error('b failed');
      return name;
    };
    const results = await Promise.allSettled(['a', 'b', 'c'].map((name) => lane.run(task(name))));
    assert.deepEqual(
      results.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled'],
    );
    assert.deepEqual(log, ['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends']);
    await lane.drained();
  });
});

describe('a read gate', () => {
  test('lets readers in together, waits for them, and keeps later ones out', async () => {
    const gate = readGate();
    const log: string[] = [];
    const reader = (name: string) =>
      gate.read(async () => {
        log.push(name);
        await turn();
        if (name === 'failing') throw new Error('a reader failed');
      });
    const early = [reader('one'), reader('failing')];
    const alone = gate.alone(async () => {
      log.push('alone');
      await turn();
      log.push('alone ends');
    });
    const late = reader('late');
    const results = await Promise.allSettled([...early, alone, late]);
    assert.deepEqual(log, ['one', 'failing', 'alone', 'alone ends', 'late']);
    assert.deepEqual(
      results.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled', 'fulfilled'],
    );
  });

  test('opens again after a task that failed', async () => {
    const gate = readGate();
    await assert.rejects(
      gate.alone(async () => Promise.reject(new Error('no'))),
      { message: 'no' },
    );
    assert.equal(await gate.read(async () => 'in'), 'in');
  });
});

describe('listeners', () => {
  test('are told in the order in which they came, and no more once they left', () => {
    const all = listeners<number>();
    const heard: string[] = [];
    const stop = all.add((value) => heard.push(`a${value}`));
    all.add((value) => heard.push(`b${value}`));
    all.tell(1);
    stop();
    stop();
    all.tell(2);
    assert.deepEqual(heard, ['a1', 'b1', 'b2']);
  });

  test('the same function may listen twice and leave once', () => {
    const all = listeners<number>();
    let calls = 0;
    const listener = () => {
      calls += 1;
    };
    const stop = all.add(listener);
    all.add(listener);
    stop();
    all.tell(1);
    assert.equal(calls, 1);
  });
});
