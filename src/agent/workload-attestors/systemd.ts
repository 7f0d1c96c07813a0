import { TouchmarkError } from '../../errors.js';
import type { NameService } from '../../host/names.js';
import { readProcCgroup } from '../../host/proc.js';
import type { SystemdUnits } from '../../host/systemd-units.js';
import type { Selector } from '../../spiffe/selector.js';
import type { WorkloadAttestor } from './contract.js';

export interface UnitPlace {
  /** The unit that the service manager itself made: `nginx.service`, `user@1000.service`, `session-3.scope`. */
  readonly id: string;
  readonly slice: string;
}

/**
 * `systemd:id|slice|invocation_id|user|fragment_path`. The unit is the outermost one of the cgroup path: what lies
 * below it belongs to the service's own user, who may give it any name. The invocation comes from the manager's own
 * records, read before and after, never from the environment.
 */
export function systemdAttestor(units: SystemdUnits, names: NameService): WorkloadAttestor {
  return {
    name: 'systemd',
    async attest({ pid }, signal) {
      const place = outermostUnit(await readProcCgroup(pid));
      if (!place) throw new TouchmarkError('unit_unknown', `process ${pid} runs in no systemd unit`);
      const invocation = await units.invocation(place.id);
      const { user, fragmentPath } = await units.properties(place.id, invocation, signal);
      const again = outermostUnit(await readProcCgroup(pid));
      if (again?.id !== place.id || (await units.invocation(place.id)) !== invocation) {
        throw new TouchmarkError('unit_unknown', `process ${pid} changed its unit while it was looked at`);
      }
      const owner = user ?? (await userManagerOwner(place.id, names));
      const facts: [string, string | undefined][] = [
        ['id', place.id],
        ['slice', place.slice],
        ['invocation_id', invocation],
        ['user', owner],
        ['fragment_path', fragmentPath],
      ];
      return facts.flatMap(([key, value]): Selector[] =>
        value ? [{ type: 'systemd', value: `${key}:${value}` }] : [],
      );
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
  const parts = line?.split(':').slice(2).join(':').split('/').filter(Boolean) ?? [];
  const at = parts.findIndex((part) => !part.endsWith('.slice'));
  const id = parts[at];
  if (id === undefined || !unitName.test(id)) return undefined;
  return { id, slice: parts[at - 1] ?? '-.slice' };
}

/** `user@1000.service` runs as that user by its very name. */
async function userManagerOwner(unit: string, names: NameService): Promise<string | undefined> {
  const uid = /^user@(\d{1,10})\.service$/.exec(unit)?.[1];
  return uid === undefined ? undefined : names.user(Number(uid));
}
