import type { ServerConfig } from '../../config/server-config.js';
import type { UpstreamAuthority } from './contract.js';
import { type DiskUpstreamDeps, openDiskUpstream } from './disk.js';

type Config = NonNullable<ServerConfig['upstreamAuthority']>;

/** One row per upstream authority; a new one is a file and a row. */
const upstreamAuthorities: {
  readonly [T in Config['type']]: (
    config: Extract<Config, { type: T }>,
    deps: DiskUpstreamDeps,
  ) => Promise<UpstreamAuthority>;
} = {
  disk: openDiskUpstream,
};

export function openUpstreamAuthority(config: Config, deps: DiskUpstreamDeps): Promise<UpstreamAuthority> {
  return upstreamAuthorities[config.type](config, deps);
}
