import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Disposal } from '../src/disposal.js';

test('what was opened is closed in reverse, each thing once', async () => {
  const closed: string[] = [];
  const stack = new Disposal();
  const first = stack.use({ name: 'first', [Symbol.asyncDispose]: async () => void closed.push('first') });
  assert.equal(first.name, 'first');
  stack.defer(() => void closed.push('second'));
  await stack[Symbol.asyncDispose]();
  await stack[Symbol.asyncDispose]();
  assert.deepEqual(closed, ['second', 'first']);
});

test('a failure keeps nothing open, and the first one is told', async () => {
  const closed: string[] = [];
  const stack = new Disposal();
  stack.defer(() => void closed.push('last'));
  stack.defer(() => Promise.reject(new Error('late')));
  stack.defer(() => {
    throw new Error('early');
  });
  await assert.rejects(stack[Symbol.asyncDispose](), { message: 'early' });
  assert.deepEqual(closed, ['last']);
});

test('what is opened while closing is closed too', async () => {
  const closed: string[] = [];
  const stack = new Disposal();
  stack.defer(() => stack.defer(() => void closed.push('late')));
  await stack[Symbol.asyncDispose]();
  assert.deepEqual(closed, ['late']);
});
