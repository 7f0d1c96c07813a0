import type { KeyObject } from 'node:crypto';
import { generateKey } from '../../x509/keys.js';
import type { KeyManager } from './contract.js';
import { readKeyFile, removeLeftovers, writeKeyFile } from './key-file.js';

/**
 * Keys in one file. Changes go one after the other, and memory follows the file, never the other way round.
 * @throws TouchmarkError `key_file_permissions`, `key_file_invalid`, `key_file_failed`
 */
export async function openDiskKeyManager(path: string): Promise<KeyManager> {
  let keys: ReadonlyMap<string, KeyObject> = await readKeyFile(path);
  await removeLeftovers(path);
  let lane: Promise<unknown> = Promise.resolve();

  function change(edit: (keys: Map<string, KeyObject>) => void): Promise<void> {
    const turn = lane.then(async () => {
      const next = new Map(keys);
      edit(next);
      await writeKeyFile(path, next);
      keys = next;
    });
    lane = turn.catch(() => {});
    return turn;
  }

  return {
    async generate(name, type) {
      const key = await generateKey(type);
      await change((next) => next.set(name, key));
      return key;
    },
    get: async (name) => keys.get(name),
    async remove(name) {
      await lane;
      if (keys.has(name)) await change((next) => next.delete(name));
    },
    async [Symbol.asyncDispose]() {
      await lane;
    },
  };
}
