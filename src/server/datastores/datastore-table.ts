import type { ServerConfig } from '../../config/server-config.js';
import type { Datastore } from './contract.js';
import { openLevelDatastore } from './level.js';

type Config = ServerConfig['datastore'];

/** One row per datastore; a new one is a file and a row. */
const datastores: {
  readonly [T in Config['type']]: (config: Extract<Config, { type: T }>) => Promise<Datastore>;
} = {
  level: (config) => openLevelDatastore(config.path),
};

export function openDatastore(config: Config): Promise<Datastore> {
  return datastores[config.type](config);
}
