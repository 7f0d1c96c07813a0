import { execFile } from 'node:child_process';
import { readlink } from 'node:fs/promises';
import { join } from 'node:path';

/** What the service manager says of its units. */
export interface SystemdUnits {
  /** The invocation that runs now: 32 hex digits; undefined where the manager keeps no record. */
  invocation(unit: string): Promise<string | undefined>;
  /** Of one invocation of a unit; asked once and remembered for as long as that invocation. */
  properties(unit: string, invocation: string | undefined, signal: AbortSignal): Promise<UnitProperties>;
}

export interface UnitProperties {
  /** `User=`, the made-up name of a DynamicUser included. */
  readonly user?: string;
  readonly fragmentPath?: string;
}

export interface SystemdUnitsOptions {
  /** Default /run/systemd/units. */
  readonly directory?: string;
  /** Asks the manager; default `systemctl show`. Resolves to undefined when there is none to ask. */
  readonly show?: (unit: string, signal: AbortSignal) => Promise<string | undefined>;
}

const MOST_REMEMBERED = 1024;

export function createSystemdUnits(options: SystemdUnitsOptions = {}): SystemdUnits {
  const { directory = '/run/systemd/units', show = systemctlShow } = options;
  const remembered = new Map<string, Promise<UnitProperties>>();
  return {
    invocation: (unit) => readInvocation(directory, unit),
    properties(unit, invocation, signal) {
      if (invocation === undefined) return show(unit, signal).then(readProperties);
      const key = `${unit} ${invocation}`;
      const known = remembered.get(key);
      if (known) return known;
      const asked = show(unit, signal).then(readProperties);
      remembered.set(key, asked);
      asked.catch(() => remembered.delete(key));
      if (remembered.size > MOST_REMEMBERED) remembered.delete(remembered.keys().next().value ?? '');
      return asked;
    },
  };
}

/** The manager keeps a link `invocation:UNIT` whose target is the id; only root can write there. */
async function readInvocation(directory: string, unit: string): Promise<string | undefined> {
  try {
    const target = await readlink(join(directory, `invocation:${unit}`));
    return /^[0-9a-f]{32}$/.test(target) ? target : undefined;
  } catch {
    return undefined;
  }
}

function readProperties(shown: string | undefined): UnitProperties {
  const values = new Map((shown ?? '').split('\n').map((line) => split(line)));
  const user = values.get('User');
  const fragmentPath = values.get('FragmentPath');
  return { ...(user ? { user } : {}), ...(fragmentPath ? { fragmentPath } : {}) };
}

function split(line: string): [string, string] {
  const equals = line.indexOf('=');
  return [line.slice(0, equals), line.slice(equals + 1)];
}

function systemctlShow(unit: string, signal: AbortSignal): Promise<string | undefined> {
  const args = ['show', '--property=User,FragmentPath', '--', unit];
  const options = { signal, timeout: 5_000, maxBuffer: 65_536, env: { PATH: '/usr/bin:/bin' } };
  return new Promise((resolve) => {
    execFile('systemctl', args, options, (error, stdout) => resolve(error ? undefined : stdout));
  });
}
