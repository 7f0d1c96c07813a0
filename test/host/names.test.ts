import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { groupName, userName } from '../../native/passwd.js';
import { createNameService } from '../../src/host/names.js';
import { manualClock, settle } from '../fakes/manual-clock.js';

function counting(answers: Record<number, string | undefined>) {
  const asked: number[] = [];
  const look = async (id: number) => {
    asked.push(id);
    return answers[id];
  };
  return { asked, look, answers };
}

describe('the C library', () => {
  test('knows root, and says when there is no name', async () => {
    assert.deepEqual(await Promise.all([userName(0), groupName(0)]), ['root', 'root']);
    assert.deepEqual(await Promise.all([userName(3_999_999_999), groupName(3_999_999_999)]), [
      undefined,
      undefined,
    ]);
  });

  test('answers many look-ups at once', async () => {
    const names = await Promise.all(Array.from({ length: 200 }, () => userName(0)));
    assert.deepEqual(new Set(names), new Set(['root']));
  });
});

describe('the name service', () => {
  test('asks once a minute', async () => {
    const clock = manualClock();
    const { asked, look, answers } = counting({ 7: 'old' });
    const names = createNameService({ clock, userName: look });
    assert.deepEqual(await Promise.all([names.user(7), names.user(7)]), ['old', 'old']);
    answers[7] = 'new';
    clock.advance(59_000);
    assert.equal(await names.user(7), 'old');
    clock.advance(2_000);
    assert.equal(await names.user(7), 'new');
    assert.deepEqual(asked, [7, 7]);
  });

  test('asks again soon for what had no name, and after a failure', async () => {
    const clock = manualClock();
    const { look, answers } = counting({});
    const names = createNameService({ clock, groupName: look });
    assert.equal(await names.group(7), undefined);
    answers[7] = 'made';
    assert.equal(await names.group(7), undefined);
    clock.advance(6_000);
    assert.equal(await names.group(7), 'made');
    const failing = createNameService({ clock, userName: () => Promise.reject(new Error('no answer')) });
    assert.equal(await failing.user(1), undefined);
  });

  test('never remembers the name of a dynamic user: systemd gives the same id to another', async () => {
    const { look, answers } = counting({ 61184: 'one', 65519: 'one' });
    const names = createNameService({ clock: manualClock(), userName: look });
    for (const uid of [61_184, 65_519]) {
      assert.equal(await names.user(uid), 'one');
      await settle();
      answers[uid] = 'two';
      assert.equal(await names.user(uid), 'two');
    }
  });

  test('does not wait for ever, and has the answer when it comes', async () => {
    const clock = manualClock();
    let answer = (_name: string) => {};
    const names = createNameService({
      clock,
      userName: () =>
        new Promise((resolve) => {
          answer = resolve;
        }),
    });
    const waiting = names.user(7);
    clock.advance(2_000);
    assert.equal(await waiting, undefined);
    answer('late');
    await settle();
    assert.equal(await names.user(7), 'late');
  });

  test('remembers a bounded number', async () => {
    const clock = manualClock();
    const { asked, look } = counting({});
    const names = createNameService({ clock, userName: async (id) => `${await look(id)}${id}` });
    for (let uid = 0; uid <= 4096; uid++) await names.user(uid);
    await names.user(4096);
    assert.equal(asked.length, 4097);
    await names.user(0);
    assert.equal(asked.length, 4098);
  });
});
