import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { repoRoot } from './root.js';

/** Where third-party test data lies: outside the repository, since it is not ours to publish. */
export function vectorsDirectory(): string {
  return process.env['TOUCHMARK_VECTORS'] ?? join(repoRoot(), '..', 'shared', 'vectors');
}

/** Skips visibly when the folder is missing; in CI a skip is a failure. Returns whether the test may go on. */
export function haveVectors(t: TestContext): boolean {
  if (existsSync(join(vectorsDirectory(), 'expected.json'))) return true;
  const reason = 'the folder of test vectors is missing (set TOUCHMARK_VECTORS)';
  if (process.env['CI'] === 'true') throw new Error(reason);
  t.skip(reason);
  return false;
}

export function readVector(name: string): Buffer {
  return readFileSync(join(vectorsDirectory(), name));
}
