import type { KeyObject } from 'node:crypto';

export const keyTypes = ['ec-p256', 'ec-p384', 'rsa-2048', 'rsa-4096'] as const;
export type KeyType = (typeof keyTypes)[number];

/** Holds the server's signing keys. Key material leaves it only as a KeyObject that signs. */
export interface KeyManager extends AsyncDisposable {
  /** Makes and keeps a key under a name; an existing one of that name is replaced. Durable when it resolves. */
  generate(name: string, type: KeyType): Promise<KeyObject>;
  get(name: string): Promise<KeyObject | undefined>;
  /** Forgets the key; a name that is not held is not an error. */
  remove(name: string): Promise<void>;
}
