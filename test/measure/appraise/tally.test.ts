import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  allOf,
  counting,
  emptyTally,
  MAX_REASONS,
  type Reason,
} from '../../../src/measure/appraise/tally.js';

const reason = (message: string): Reason => ({ code: 'file_unknown', message });

test('a tally that counts nothing more is the one that it began with', () => {
  const from = counting();
  from.check();
  const before = from.done();
  assert.equal(counting(before).done(), before);
});

test('reasons are made only as long as they are kept, and all are counted', () => {
  const tally = counting();
  let made = 0;
  for (let n = 0; n < 100; n += 1) {
    tally.add('fail', () => {
      made += 1;
      return reason(String(n));
    });
  }
  const { counts, kept } = tally.done();
  assert.deepEqual([counts.fail, kept.fail.length, made], [100, MAX_REASONS, MAX_REASONS]);
});

test('what is counted on top of a tally leaves that tally alone', () => {
  const first = counting();
  first.add('warn', () => reason('a'));
  const before = first.done();
  const text = JSON.stringify(before);
  const second = counting(before);
  second.check();
  second.add('warn', () => reason('b'));
  assert.deepEqual(
    second.done().kept.warn.map(({ message }) => message),
    ['a', 'b'],
  );
  assert.equal(JSON.stringify(before), text);
  assert.equal(emptyTally.kept.warn.length, 0);
});

test('tallies together check as much and say as much as each, the first ones first', () => {
  const some = (...messages: string[]) => {
    const tally = counting();
    tally.check();
    for (const message of messages) tally.add('unknown', () => reason(message));
    return tally.done();
  };
  const all = allOf(some('a'), some(), emptyTally, some('b', 'c'), some());
  assert.equal(all.checked, 4);
  assert.equal(all.counts.unknown, 3);
  assert.deepEqual(
    all.kept.unknown.map(({ message }) => message),
    ['a', 'b', 'c'],
  );
  assert.deepEqual(allOf(), emptyTally);
  assert.deepEqual(allOf(some(), some()).counts, emptyTally.counts);
});
