import assert from 'node:assert/strict';
import { type ErrorCode, TouchmarkError } from '../../src/errors.js';

/** Asserts that `task` throws a TouchmarkError with this code and a message that matches. */
export function throwsCode(code: ErrorCode, message: RegExp, task: () => unknown, about = ''): void {
  let result: unknown;
  try {
    result = task();
  } catch (error) {
    assert.ok(error instanceof TouchmarkError, `${about}: ${String(error)}`);
    assert.equal(error.code, code, `${about}: ${error.message}`);
    assert.match(error.message, message, about);
    return;
  }
  assert.fail(`${about}: expected ${code}, but it returned ${String(result)}`);
}
