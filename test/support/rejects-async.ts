import assert from 'node:assert/strict';
import { type ErrorCode, TouchmarkError } from '../../src/errors.js';

/** Asserts that `task` ends in a TouchmarkError with this code and a message that matches. */
export async function rejectsCode(
  code: ErrorCode,
  message: RegExp,
  task: Promise<unknown>,
): Promise<TouchmarkError> {
  const error = await task.then(
    (value) => assert.fail(`expected ${code}, but it resolved to ${String(value)}`),
    (reason: unknown) => reason,
  );
  if (error instanceof assert.AssertionError) throw error;
  assert.ok(error instanceof TouchmarkError, `expected ${code}, but it was ${String(error)}`);
  assert.equal(error.code, code, error.message);
  assert.match(error.message, message);
  return error;
}
