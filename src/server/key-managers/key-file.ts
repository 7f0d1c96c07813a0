/** The file of the disk key manager: one JSON object of names and PKCS#8 keys, for its owner's eyes alone. */
import type { KeyObject } from 'node:crypto';
import { open, readdir, readFile, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { messageOf, TouchmarkError } from '../../errors.js';
import { writeFileAtomic } from '../../host/atomic-file.js';
import { exportPkcs8, importPkcs8 } from '../../x509/keys.js';

const FORMAT = 1;
const MAX_BYTES = 1024 * 1024;

interface KeyFile {
  readonly format: number;
  /** Base64 PKCS#8 by name. */
  readonly keys: Readonly<Record<string, string>>;
}

/**
 * Reads the keys; no file means no keys. The mode is that of the opened file, so it cannot be another one's.
 * @throws TouchmarkError `key_file_permissions`, `key_file_invalid`, `key_file_failed`
 */
export async function readKeyFile(path: string): Promise<Map<string, KeyObject>> {
  let text: string;
  try {
    await using file = await open(path, 'r');
    const { mode, uid, size } = await file.stat();
    checkAccess(path, mode, uid);
    if (size > MAX_BYTES) throw invalid(path, `it is longer than ${MAX_BYTES} bytes`);
    text = await readFile(file, 'utf8');
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ENOENT') return new Map();
    throw error instanceof TouchmarkError ? error : failed(path, 'read', error);
  }
  return parse(path, text);
}

/**
 * Replaces the file atomically and durably.
 * @throws TouchmarkError `key_file_failed`; the old file is then still there
 */
export async function writeKeyFile(path: string, keys: ReadonlyMap<string, KeyObject>): Promise<void> {
  const content: KeyFile = {
    format: FORMAT,
    keys: Object.fromEntries([...keys].map(([name, key]) => [name, exportPkcs8(key).toString('base64')])),
  };
  try {
    await writeFileAtomic(path, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600 });
  } catch (error) {
    throw failed(path, 'written', error);
  }
}

/** What a write that was cut off has left may hold keys that were destroyed since. */
export async function removeLeftovers(path: string): Promise<void> {
  const directory = dirname(path);
  try {
    for (const name of await readdir(directory)) {
      const leftover = name.startsWith(`.${basename(path)}.`) && name.endsWith('.tmp');
      if (leftover) await rm(join(directory, name), { force: true });
    }
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ENOENT') throw failed(path, 'cleaned up', error);
  }
}

function checkAccess(path: string, mode: number, uid: number): void {
  const permissions = (mode & 0o777).toString(8).padStart(4, '0');
  if ((mode & 0o077) !== 0) {
    throw new TouchmarkError(
      'key_file_permissions',
      `the key file ${path} has mode ${permissions}, wider than 0600`,
    );
  }
  const own = process.geteuid?.();
  if (own !== undefined && uid !== own && uid !== 0) {
    throw new TouchmarkError(
      'key_file_permissions',
      `the key file ${path} belongs to uid ${uid}, not to this server`,
    );
  }
}

/** The cause is left out on purpose: a JSON error quotes what it read. */
function parse(path: string, text: string): Map<string, KeyObject> {
  let content: Partial<KeyFile> | null;
  try {
    content = JSON.parse(text) as Partial<KeyFile> | null;
  } catch {
    throw invalid(path, 'it is not JSON');
  }
  if (content?.format !== FORMAT || typeof content.keys !== 'object' || content.keys === null) {
    throw invalid(path, `it is not of format ${FORMAT}`);
  }
  return new Map(Object.entries(content.keys).map(([name, key]) => [name, importKey(path, name, key)]));
}

function importKey(path: string, name: string, key: unknown): KeyObject {
  try {
    return importPkcs8(Buffer.from(String(key), 'base64'));
  } catch (error) {
    throw invalid(path, `its key ${JSON.stringify(name)} cannot be used: ${messageOf(error)}`);
  }
}

function invalid(path: string, why: string): TouchmarkError {
  return new TouchmarkError('key_file_invalid', `the key file ${path} is damaged: ${why}`);
}

function failed(path: string, what: string, cause: unknown): TouchmarkError {
  return new TouchmarkError(
    'key_file_failed',
    `the key file ${path} could not be ${what}: ${messageOf(cause)}`,
    {
      cause,
    },
  );
}
