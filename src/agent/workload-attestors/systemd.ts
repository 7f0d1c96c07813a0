import { TouchmarkError } from '../../errors.js';
import type { NameService } from '../../host/names.js';
import { procCgroupNow } from '../../host/proc-now.js';
import type { SystemdUnits } from '../../host/systemd-units.js';
import type { Selector } from '../../spiffe/selector.js';
import type { WorkloadAttestor } from './contract.js';

export interface UnitPlace {
  /** The unit that the service manager itself made: `nginx.service`, `user@1000.service`, `session-3.scope`. */
  readonly id: string;
  readonly slice: string;
}

/** Stays the same for one run of a unit: a stream ends when it changes. */
export const invocationPrefix = 'invocation_id:';

/**
 * `systemd:id|slice|invocation_id|user|fragment_path`. The unit is the outermost one of the cgroup path: what lies
 * below it belongs to the service's own user, who may give it any name. The invocation comes from the manager's own
 * records, read before and after, never from the environment. A process that outlived its unit's stop
 * (`KillMode=process`) lies in the same cgroup as the next run, and counts as part of it when it connects anew.
 */
export function systemdAttestor(
  units: SystemdUnits,
  names: NameService,
  readCgroup: (pid: number) => string = procCgroupNow,
): WorkloadAttestor {
  return {
    name: 'systemd',
    async attest({ pid }) {
      const place = outermostUnit(readCgroup(pid));
      if (!place) throw new TouchmarkError('unit_unknown', `process ${pid} runs in no systemd unit`);
      const invocation = units.invocation(place.id);
      const { user, fragmentPath } = await units.properties(place.id, invocation);
      const owner = user === undefined ? undefined : await userNamed(user, names);
      const again = outermostUnit(readCgroup(pid));
      if (again?.id !== place.id || units.invocation(place.id) !== invocation) {
        throw new TouchmarkError('unit_changed', `process ${pid} changed its unit while it was looked at`);
      }
      const facts: [string, string | undefined][] = [
        ['id:', place.id],
        ['slice:', place.slice],
        [invocationPrefix, invocation],
        ['user:', owner],
        ['fragment_path:', fragmentPath],
      ];
      return facts.flatMap(([key, value]): Selector[] =>
        value ? [{ type: 'systemd', value: `${key}${value}` }] : [],
      );
    },
    watch(found, listener) {
      const id = found.find(({ type, value }) => type === 'systemd' && value.startsWith('id:'));
      return id === undefined ? () => {} : units.onChange(id.value.slice('id:'.length), listener);
    },
  };
}

const unitName = /^[A-Za-z0-9:_.\\@-]{1,255}\.(service|scope|socket|mount|swap)$/;

/** The first part of the cgroup path that is no slice. undefined for a process outside of any unit. */
export function outermostUnit(cgroup: string): UnitPlace | undefined {
  // cgroup v2 has the one line `0::`; on hybrid hosts the manager's own tree is `name=systemd`.
  const lines = cgroup.split('\n');
  const line =
    lines.find((text) => /^\d+:name=systemd:/.test(text)) ?? lines.find((text) => text.startsWith('0::'));
  const path = line?.split(':').slice(2).join(':');
  const parts = path?.split('/').filter(Boolean).map(unescapePart) ?? [];
  const at = parts.findIndex((part) => !part.endsWith('.slice'));
  const id = parts[at];
  if (id === undefined || !unitName.test(id)) return undefined;
  return { id, slice: parts[at - 1] ?? '-.slice' };
}

/** systemd puts one `_` before names that the kernel could take for its own, such as `memory.service`. */
function unescapePart(part: string): string {
  return part.startsWith('_') ? part.slice(1) : part;
}

/** `User=` may hold a number, as it does for `user@1000.service`. */
async function userNamed(user: string, names: NameService): Promise<string> {
  return /^\d{1,10}$/.test(user) ? ((await names.user(Number(user))) ?? user) : user;
}
