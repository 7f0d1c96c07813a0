import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { repoRoot } from '../support/root.js';

/** A file beside this one, such as `vm/quote-ecc-1.attest` (README.md says what each holds). */
export function readRecorded(name: string): Buffer {
  return readFileSync(join(repoRoot(), 'test', 'vectors', name));
}
