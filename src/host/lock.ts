import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { tryLock } from '../../native/libc.js';
import { TouchmarkError } from '../errors.js';

export interface DirectoryLock extends AsyncDisposable {
  release(): Promise<void>;
}

const MAX_PID_TEXT = 20;

/**
 * Takes an existing directory for this process alone. The kernel ends the lock with the process, however it ends; the file
 * `lock` stays, since removing it would let two processes lock two files of the same name.
 * @throws TouchmarkError `directory_locked`, naming the process that holds it
 */
export async function lockDirectory(directory: string): Promise<DirectoryLock> {
  const file = await open(join(directory, 'lock'), constants.O_RDWR | constants.O_CREAT, 0o600);
  try {
    if (!tryLock(file.fd)) throw await held(directory, file);
    await file.truncate(0);
    await file.write(`${process.pid}\n`, 0);
  } catch (error) {
    await file.close();
    throw error;
  }
  let holding = true;
  const release = async () => {
    if (!holding) return;
    holding = false;
    await file.close();
  };
  return { release, [Symbol.asyncDispose]: release };
}

async function held(directory: string, file: FileHandle): Promise<TouchmarkError> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(MAX_PID_TEXT), 0, MAX_PID_TEXT, 0);
  const pid = /^\d+/.exec(buffer.toString('latin1', 0, bytesRead))?.[0];
  const holder = pid === undefined ? 'another process' : `process ${pid}`;
  return new TouchmarkError('directory_locked', `${directory} is in use by ${holder}`, { detail: { pid } });
}
