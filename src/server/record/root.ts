/** Where a log begins whose older segments were removed: a signed checkpoint of the last line that is gone, in `root.json`. */
import { join } from 'node:path';
import { messageOf, TouchmarkError } from '../../errors.js';
import { readFileBounded, writeFileAtomic } from '../../host/atomic-file.js';
import { parseJsonObject } from '../../spiffe/json.js';
import { readCheckpoint, type SignedCheckpoint } from './checkpoint.js';

const FILE = 'root.json';
const MAX_BYTES = 16 * 1024;

/** Undefined: the log begins with its first line. @throws TouchmarkError `record_checkpoint_invalid`, `record_unreadable` */
export async function readRoot(directory: string): Promise<SignedCheckpoint | undefined> {
  const bytes = await readFileBounded(join(directory, FILE), MAX_BYTES).catch((cause: unknown) => {
    throw new TouchmarkError('record_unreadable', `cannot read ${FILE}: ${messageOf(cause)}`, { cause });
  });
  if (bytes === undefined) return undefined;
  return readCheckpoint(jwsIn(bytes));
}

export async function writeRoot(directory: string, jws: string): Promise<void> {
  await writeFileAtomic(join(directory, FILE), `${JSON.stringify({ checkpoint: jws })}\n`);
}

function jwsIn(bytes: Buffer): string {
  try {
    const { checkpoint } = parseJsonObject(bytes);
    if (typeof checkpoint === 'string') return checkpoint;
  } catch (cause) {
    throw new TouchmarkError('record_checkpoint_invalid', `${FILE} cannot be read: ${messageOf(cause)}`, {
      cause,
    });
  }
  throw new TouchmarkError('record_checkpoint_invalid', `${FILE} holds no checkpoint`);
}
