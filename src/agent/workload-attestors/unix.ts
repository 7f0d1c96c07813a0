import { open } from 'node:fs/promises';
import { TouchmarkError } from '../../errors.js';
import type { FileHasher } from '../../host/hash-file.js';
import type { NameService } from '../../host/names.js';
import { type OpenedExecutable, openExecutable } from '../../host/proc.js';
import type { Selector } from '../../spiffe/selector.js';
import type { Workload, WorkloadAttestor } from './contract.js';

export interface UnixAttestorOptions {
  readonly names: NameService;
  /** Also `path`: believed only where it leads to the running file in the agent's own namespace. */
  readonly path: boolean;
  /** Also `sha256` of the running file. */
  readonly hasher?: FileHasher;
}

/**
 * `unix:uid|user|gid|group|supplementary_gid|supplementary_group|path|sha256`. The ids are the socket's. A path or a
 * digest says which file runs, not with which arguments, libraries or environment.
 */
export function unixAttestor(options: UnixAttestorOptions): WorkloadAttestor {
  return {
    name: 'unix',
    async attest(workload) {
      const [ids, file] = await Promise.all([
        idSelectors(workload, options.names),
        fileSelectors(workload, options),
      ]);
      return [...ids, ...file].map(([key, value]): Selector => ({ type: 'unix', value: `${key}:${value}` }));
    },
  };
}

type Fact = readonly [key: string, value: string];

/** A user or group without a name, as a container's or a DynamicUser's may be, simply has no name selector. */
async function idSelectors({ uid, gid, groups }: Workload, names: NameService): Promise<Fact[]> {
  const supplementary = groups.filter((group) => group !== gid);
  const [user, group, ...others] = await Promise.all([
    names.user(uid),
    names.group(gid),
    ...supplementary.map((id) => names.group(id)),
  ]);
  return [
    ['uid', String(uid)],
    ['gid', String(gid)],
    ...(user ? [['user', user] as const] : []),
    ...(group ? [['group', group] as const] : []),
    ...supplementary.map((id) => ['supplementary_gid', String(id)] as const),
    ...others.flatMap((name) => (name ? [['supplementary_group', name] as const] : [])),
  ];
}

async function fileSelectors({ pid }: Workload, { path, hasher }: UnixAttestorOptions): Promise<Fact[]> {
  if (!path && !hasher) return [];
  await using executable = await openExecutable(pid);
  const shown = path ? await believedPath(executable) : undefined;
  const sha256 = hasher ? await hasher.sha256(executable.file) : undefined;
  return [
    ...(shown === undefined ? [] : [['path', shown] as const]),
    ...(sha256 === undefined ? [] : [['sha256', sha256] as const]),
  ];
}

/**
 * The name is the caller's own view, and a caller may build itself a mount namespace in which any file has any name:
 * it counts only when opening it here leads to the very file that runs. Otherwise there is no path selector.
 */
async function believedPath({ link, device, inode }: OpenedExecutable): Promise<string | undefined> {
  try {
    await using file = await open(link, 'r');
    const stat = await file.stat({ bigint: true });
    return stat.dev === device && stat.ino === inode ? link : undefined;
  } catch (error) {
    if (error instanceof TouchmarkError) throw error;
    return undefined;
  }
}
