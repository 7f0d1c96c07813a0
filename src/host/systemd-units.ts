import { execFile } from 'node:child_process';
import { type FSWatcher, readlinkSync, watch } from 'node:fs';
import { join } from 'node:path';
import { type Clock, systemClock } from '../clock.js';

/** What the service manager says of its units. */
export interface SystemdUnits {
  /** The invocation that runs now: 32 hex digits; undefined where the manager keeps no record. Answers from memory. */
  invocation(unit: string): string | undefined;
  /** Of one invocation of a unit; asked once and remembered for as long as that invocation. */
  properties(unit: string, invocation: string | undefined): Promise<UnitProperties>;
  /** Calls when the unit is started or stopped, perhaps more often. Returns how to stop listening. */
  onChange(unit: string, listener: () => void): () => void;
}

export interface UnitProperties {
  /** `User=` as the manager shows it: a name, the made-up one of a DynamicUser included, or a number. */
  readonly user?: string;
  readonly fragmentPath?: string;
}

export interface SystemdUnitsOptions {
  /** Default /run/systemd/units. */
  readonly directory?: string;
  /** Asks the manager; default `systemctl show`. Resolves to undefined when there is none to ask. */
  readonly show?: (unit: string) => Promise<string | undefined>;
  readonly clock?: Clock;
}

const MOST_REMEMBERED = 1024;
/** What has no invocation to be remembered under, or was not answered, is asked for again after this. */
const UNSURE_MS = 10_000;

export function createSystemdUnits(options: SystemdUnitsOptions = {}): SystemdUnits {
  const { directory = '/run/systemd/units', show = systemctlShow, clock = systemClock } = options;
  return {
    invocation: (unit) => readInvocation(directory, unit),
    properties: rememberProperties(clock, show),
    onChange: watchRecords(directory),
  };
}

interface Known {
  readonly properties: Promise<UnitProperties>;
  until: number;
}

function rememberProperties(
  clock: Clock,
  show: (unit: string) => Promise<string | undefined>,
): SystemdUnits['properties'] {
  const known = new Map<string, Known>();
  return (unit, invocation) => {
    const key = `${unit} ${invocation ?? ''}`;
    const found = known.get(key);
    if (found !== undefined && found.until > clock.now()) return found.properties;
    const shown = show(unit);
    const one: Known = { properties: shown.then(readProperties), until: Number.POSITIVE_INFINITY };
    known.delete(key);
    known.set(key, one);
    for (const oldest of known.keys()) {
      if (known.size <= MOST_REMEMBERED) break;
      known.delete(oldest);
    }
    void shown.then(
      (text) => {
        if (text === undefined || invocation === undefined) one.until = clock.now() + UNSURE_MS;
      },
      () => known.delete(key),
    );
    return one.properties;
  };
}

/** The manager keeps a link `invocation:UNIT` whose target is the id; only root can write there. */
function readInvocation(directory: string, unit: string): string | undefined {
  try {
    const target = readlinkSync(join(directory, `invocation:${unit}`));
    return /^[0-9a-f]{32}$/.test(target) ? target : undefined;
  } catch {
    return undefined;
  }
}

/**
 * One inotify watch for all, there while anybody listens. The manager replaces a unit's link when it starts the unit and
 * removes it when the unit is gone, so nothing has to be asked again and again. Without the directory nothing is told.
 */
function watchRecords(directory: string): SystemdUnits['onChange'] {
  const listeners = new Map<string, Set<() => void>>();
  let watcher: FSWatcher | undefined;
  const tell = (name: string | null) => {
    const told = name === null ? [...listeners.values()] : [listeners.get(name)];
    for (const set of told) for (const listener of [...(set ?? [])]) listener();
  };
  const start = () => {
    try {
      watcher = watch(directory, { persistent: false }, (_event, name) => tell(name));
      watcher.on('error', stop);
    } catch {
      watcher = undefined;
    }
  };
  const stop = () => {
    watcher?.close();
    watcher = undefined;
  };
  return (unit, listener) => {
    const name = `invocation:${unit}`;
    const own = () => listener();
    const set = listeners.get(name) ?? new Set();
    listeners.set(name, set.add(own));
    if (watcher === undefined) start();
    return () => {
      set.delete(own);
      if (set.size === 0 && listeners.get(name) === set) listeners.delete(name);
      if (listeners.size === 0) stop();
    };
  };
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

function systemctlShow(unit: string): Promise<string | undefined> {
  const args = ['show', '--property=User,FragmentPath', '--', unit];
  const options = { timeout: 5_000, maxBuffer: 65_536, env: { PATH: '/usr/bin:/bin' } };
  return new Promise((resolve) => {
    execFile('systemctl', args, options, (error, stdout) => resolve(error ? undefined : stdout));
  });
}
