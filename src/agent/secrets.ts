import { join } from 'node:path';
import { messageOf, TouchmarkError } from '../errors.js';
import { readFileBounded } from '../host/atomic-file.js';

const MAX_SECRET_BYTES = 1024 * 1024;

/** Reads a secret from a file, or, for a name without a slash, from the systemd credential of that name. */
export function secretReader(
  environment: NodeJS.ProcessEnv = process.env,
): (file: string, what: string) => Promise<Uint8Array> {
  return async (file, what) => {
    if (file === '') throw missing(`no file is configured for the ${what}`);
    const path = pathOf(file, what, environment);
    let content: Uint8Array | undefined;
    try {
      content = await readFileBounded(path, MAX_SECRET_BYTES);
    } catch (cause) {
      throw missing(`the ${what} in ${path} cannot be read: ${messageOf(cause)}`, cause);
    }
    if (content === undefined) throw missing(`the ${what} is not there: ${path} does not exist`);
    return content;
  };
}

function pathOf(file: string, what: string, environment: NodeJS.ProcessEnv): string {
  if (file.includes('/')) return file;
  const directory = environment['CREDENTIALS_DIRECTORY'];
  if (directory !== undefined && directory !== '') return join(directory, file);
  throw missing(
    `the ${what} is to come from the systemd credential ${file}, but there is no CREDENTIALS_DIRECTORY`,
  );
}

function missing(message: string, cause?: unknown): TouchmarkError {
  return new TouchmarkError('node_secret_missing', message, { cause });
}
