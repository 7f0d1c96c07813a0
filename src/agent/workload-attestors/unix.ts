import type { NameService } from '../../host/names.js';
import type { Selector } from '../../spiffe/selector.js';
import type { Workload, WorkloadAttestor } from './contract.js';

/**
 * `unix:uid|user|gid|group|supplementary_gid|supplementary_group`: all from the socket. A user or group without a name,
 * as a container's may be, simply has no name selector.
 */
export function unixAttestor(names: NameService): WorkloadAttestor {
  return {
    name: 'unix',
    async attest({ uid, gid, groups }: Workload) {
      const supplementary = groups.filter((group) => group !== gid);
      const [user, group, ...others] = await Promise.all([
        names.user(uid),
        names.group(gid),
        ...supplementary.map((id) => names.group(id)),
      ]);
      return [
        unix('uid', uid),
        unix('gid', gid),
        ...(user ? [unix('user', user)] : []),
        ...(group ? [unix('group', group)] : []),
        ...supplementary.map((id) => unix('supplementary_gid', id)),
        ...others.flatMap((name) => (name ? [unix('supplementary_group', name)] : [])),
      ];
    },
  };
}

function unix(key: string, value: string | number): Selector {
  return { type: 'unix', value: `${key}:${value}` };
}
