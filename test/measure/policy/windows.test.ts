import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readTime, windowProblems, writeTime } from '../../../src/measure/policy/windows.js';

const window = (from: string, until: string) => ({ from: `2026-${from}:00Z`, until: `2026-${until}:00Z` });
const told = (...windows: Parameters<typeof windowProblems>[1]) =>
  windowProblems('maintenance', windows).map(({ path, message }) => `${path.join('.')}: ${message}`);

test('a time is one of the calendar, and is written as it was read', () => {
  assert.equal(writeTime(readTime('2026-11-30T22:00:00Z')), '2026-11-30T22:00:00Z');
  assert.equal(readTime('2026-11-30T23:00:00+01:00'), readTime('2026-11-30T22:00:00Z'));
  for (const none of ['2026-02-30T00:00:00Z', '2026-13-01T00:00:00Z', '2026-01-01T25:00:00Z', 'tomorrow'])
    assert.ok(Number.isNaN(readTime(none)), none);
});

test('windows may touch, and lie in any order', () => {
  assert.deepEqual(told(window('03-02T00:00', '03-03T00:00'), window('03-01T00:00', '03-02T00:00')), []);
});

test('a window that ends before it begins, that is on no calendar, or that lies over another is told by its place', () => {
  assert.deepEqual(told(window('03-02T00:00', '03-01T00:00')), [
    'maintenance.0: ends before it begins: until must be later than from',
  ]);
  assert.deepEqual(told(window('02-30T00:00', '03-01T00:00')), [
    'maintenance.0.from: "2026-02-30T00:00:00Z" is on no calendar',
  ]);
  assert.deepEqual(told(window('03-02T00:00', '03-04T00:00'), window('03-01T00:00', '03-03T00:00')), [
    'maintenance.1: overlaps maintenance[0]; write one window, or let one begin where the other ends',
  ]);
});
