import type { KeyObject } from 'node:crypto';
import { generateKey } from '../../x509/keys.js';
import type { KeyManager } from './contract.js';

/** Keys that end with the process: each start makes new authorities. */
export function memoryKeyManager(): KeyManager {
  const keys = new Map<string, KeyObject>();
  return {
    async generate(name, type) {
      const key = await generateKey(type);
      keys.set(name, key);
      return key;
    },
    get: async (name) => keys.get(name),
    async remove(name) {
      keys.delete(name);
    },
    async [Symbol.asyncDispose]() {
      keys.clear();
    },
  };
}
