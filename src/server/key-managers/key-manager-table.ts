import type { ServerConfig } from '../../config/server-config.js';
import type { KeyManager } from './contract.js';
import { openDiskKeyManager } from './disk.js';
import { memoryKeyManager } from './memory.js';

type Config = ServerConfig['keyManager'];

/** One row per key manager; a new one is a file and a row. */
const keyManagers: {
  readonly [T in Config['type']]: (config: Extract<Config, { type: T }>) => Promise<KeyManager>;
} = {
  disk: (config) => openDiskKeyManager(config.path),
  memory: async () => memoryKeyManager(),
};

export function openKeyManager(config: Config): Promise<KeyManager> {
  return config.type === 'disk' ? keyManagers.disk(config) : keyManagers.memory(config);
}
