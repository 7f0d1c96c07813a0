/** The thread that checks large manifests, and names them by their content. */
import { isMainThread, parentPort } from 'node:worker_threads';
import { type ErrorCode, messageOf, TouchmarkError } from '../../errors.js';
import type { Version } from '../../measure/policy/resolve.js';
import type { Numbered } from '../thread.js';
import { checkEach } from './checked.js';

export interface CheckQuestion {
  readonly manifests: readonly unknown[];
}

export type CheckAnswer = Numbered &
  ({ readonly versions: readonly Version[] } | { readonly error: string; readonly code?: ErrorCode });

if (!isMainThread) {
  parentPort?.on('message', ({ id, manifests }: CheckQuestion & Numbered) => {
    parentPort?.postMessage({ id, ...answer(manifests) } satisfies CheckAnswer);
  });
}

function answer(manifests: readonly unknown[]) {
  try {
    return { versions: checkEach(manifests) };
  } catch (error) {
    return { error: messageOf(error), ...(error instanceof TouchmarkError ? { code: error.code } : {}) };
  }
}
