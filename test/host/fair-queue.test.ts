import assert from 'node:assert/strict';
import test from 'node:test';
import { FairQueue } from '../../src/host/fair-queue.js';

function drained(queue: FairQueue<string>): string[] {
  const all: string[] = [];
  for (let work = queue.next(); work !== undefined; work = queue.next()) all.push(work);
  return all;
}

test('users take turns, each in the order of its own work', () => {
  const queue = new FairQueue<string>(10);
  for (const work of ['a1', 'a2', 'a3']) queue.add(1, work);
  for (const work of ['b1', 'b2']) queue.add(2, work);
  queue.add(3, 'c1');
  assert.deepEqual(drained(queue), ['a1', 'b1', 'c1', 'a2', 'b2', 'a3']);
  assert.equal(queue.next(), undefined);
});

test('who comes later waits for one turn of each other, not for all of their work', () => {
  const queue = new FairQueue<string>(100);
  for (let n = 0; n < 100; n += 1) queue.add(1, `a${n}`);
  assert.equal(queue.next(), 'a0');
  queue.add(2, 'b');
  assert.deepEqual([queue.next(), queue.next()], ['a1', 'b']);
});

test('what one user has waiting is bounded, whatever the others have', () => {
  const queue = new FairQueue<string>(2);
  assert.deepEqual([queue.add(1, 'a'), queue.add(1, 'b'), queue.add(1, 'c')], [true, true, false]);
  assert.equal(queue.add(2, 'd'), true);
  queue.next();
  assert.equal(queue.add(1, 'c'), true);
});
