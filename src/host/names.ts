import { createLane, type Lane } from '../../native/lane.js';
import { groupName, userName } from '../../native/passwd.js';
import { type Clock, systemClock } from '../clock.js';

/** Names of users and groups, through the C library: files, LDAP, DynamicUser and whatever else the host is set up for. */
export interface NameService {
  /** undefined when the id has no name, or when it is not told in time. */
  user(uid: number): Promise<string | undefined>;
  group(gid: number): Promise<string | undefined>;
}

export interface NameServiceOptions {
  readonly clock?: Clock;
  readonly userName?: LookUp;
  readonly groupName?: LookUp;
}

type LookUp = (id: number) => Promise<string | undefined>;

const MOST_REMEMBERED = 4096;
/** Names hardly ever change, and a look-up may go over the network. */
const NAME_MS = 60_000;
/** No name: perhaps the name service was away, or the user is only just being made. */
const NO_NAME_MS = 5_000;
/** A look-up that hangs costs a caller this much, not its identity. */
const PATIENCE_MS = 2_000;
/** systemd gives these to DynamicUser= and takes them back: a name may be another's the moment after. */
const dynamicIds = { first: 61_184, last: 65_519 };

export function createNameService(options: NameServiceOptions = {}): NameService {
  const { clock = systemClock } = options;
  const lane = createLane();
  return {
    user: rememberNames(clock, lane, options.userName ?? userName),
    group: rememberNames(clock, lane, options.groupName ?? groupName),
  };
}

interface Known {
  readonly name: Promise<string | undefined>;
  /** Infinite while it is being asked for. */
  until: number;
}

/** One look-up at a time: a name service that hangs holds one of libuv's four threads, never all of them. */
function rememberNames(clock: Clock, lane: Lane, ask: LookUp): LookUp {
  const known = new Map<number, Known>();
  return (id) => {
    const found = known.get(id);
    if (found !== undefined && found.until > clock.now()) return found.name;
    const asked = lane.run(() => ask(id)).catch(() => undefined);
    const one: Known = { name: withPatience(clock, asked), until: Number.POSITIVE_INFINITY };
    known.set(id, one);
    void asked.then((name) => {
      known.delete(id);
      const keepMs = keepFor(id, name);
      if (keepMs > 0) known.set(id, { name: asked, until: clock.now() + keepMs });
      for (const oldest of known.keys()) {
        if (known.size <= MOST_REMEMBERED) break;
        known.delete(oldest);
      }
    });
    return one.name;
  };
}

function keepFor(id: number, name: string | undefined): number {
  if (id >= dynamicIds.first && id <= dynamicIds.last) return 0;
  return name === undefined ? NO_NAME_MS : NAME_MS;
}

function withPatience<T>(clock: Clock, work: Promise<T>): Promise<T | undefined> {
  return new Promise((resolve) => {
    const cancel = clock.after(PATIENCE_MS, () => resolve(undefined));
    void work.then((value) => {
      cancel();
      resolve(value);
    });
  });
}
