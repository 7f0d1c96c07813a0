import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createNameService } from '../../src/host/names.js';
import { manualClock, settle } from '../fakes/manual-clock.js';

/** A name service whose answers come when the test says so. */
function slowNames() {
  const asked: number[] = [];
  const waiting = new Map<number, (name: string | undefined) => void>();
  const ask = (id: number) => {
    asked.push(id);
    return new Promise<string | undefined>((resolve) => waiting.set(id, resolve));
  };
  return { asked, ask, answer: (id: number, name: string | undefined) => waiting.get(id)?.(name) };
}

function countingNames(names: Readonly<Record<number, string>>) {
  const asked: number[] = [];
  const ask = async (id: number) => {
    asked.push(id);
    return names[id];
  };
  return { asked, ask };
}

describe('names of users and groups', () => {
  test('a name is remembered for a minute, its absence for some seconds', async () => {
    const clock = manualClock();
    const { asked, ask } = countingNames({ 1000: 'anna' });
    const names = createNameService({ clock, userName: ask, groupName: ask });
    assert.equal(await names.user(1000), 'anna');
    assert.equal(await names.user(4711), undefined);
    clock.advance(4_999);
    assert.equal(await names.user(1000), 'anna');
    assert.equal(await names.user(4711), undefined);
    assert.deepEqual(asked, [1000, 4711]);
    clock.advance(1);
    assert.equal(await names.user(4711), undefined);
    assert.deepEqual(asked, [1000, 4711, 4711]);
    clock.advance(55_000);
    assert.equal(await names.user(1000), 'anna');
    assert.deepEqual(asked, [1000, 4711, 4711, 1000]);
  });

  test('users and groups of one number are not mixed up', async () => {
    const user = countingNames({ 7: 'u' });
    const group = countingNames({ 7: 'g' });
    const names = createNameService({ clock: manualClock(), userName: user.ask, groupName: group.ask });
    assert.deepEqual([await names.user(7), await names.group(7)], ['u', 'g']);
  });

  test('the name of a DynamicUser is asked for each time, since the number may be another one by then', async () => {
    const { asked, ask } = countingNames({ 61184: 'first', 65519: 'last' });
    const names = createNameService({ clock: manualClock(), userName: ask, groupName: ask });
    for (const id of [61_184, 61_184, 65_519, 65_519]) await names.user(id);
    assert.equal(asked.length, 4);
  });

  test('callers at the same time share one look-up', async () => {
    const slow = slowNames();
    const names = createNameService({ clock: manualClock(), userName: slow.ask, groupName: slow.ask });
    const both = Promise.all([names.user(1), names.user(1)]);
    await settle();
    slow.answer(1, 'one');
    assert.deepEqual(await both, ['one', 'one']);
    assert.deepEqual(slow.asked, [1]);
  });

  test('a name service that hangs holds one thread, and a caller waits two seconds for it', async () => {
    const clock = manualClock();
    const slow = slowNames();
    const names = createNameService({ clock, userName: slow.ask, groupName: slow.ask });
    const asked = [names.user(1), names.user(2), names.group(3), names.group(4)];
    await settle();
    assert.deepEqual(slow.asked, [1]);
    clock.advance(2_000);
    assert.deepEqual(await Promise.all(asked), [undefined, undefined, undefined, undefined]);
    slow.answer(1, 'one');
    await settle();
    assert.deepEqual(slow.asked, [1, 2]);
    assert.equal(await names.user(1), 'one');
  });

  test('a look-up that fails is no name, and does not stop the next one', async () => {
    const ask = async (id: number) => {
      if (id === 1) throw new Error('the name service is broken');
      return 'two';
    };
    const names = createNameService({ clock: manualClock(), userName: ask, groupName: ask });
    assert.deepEqual([await names.user(1), await names.user(2)], [undefined, 'two']);
  });
});
