import { groupName, userName } from '../../native/passwd.js';

/** Names of users and groups, through the C library: files, LDAP, DynamicUser and whatever else the host is set up for. */
export interface NameService {
  /** undefined when the id has no name. */
  user(uid: number): Promise<string | undefined>;
  group(gid: number): Promise<string | undefined>;
}

const MOST_REMEMBERED = 4096;
/** Names hardly ever change, and a look-up may go over the network. */
const REMEMBER_MS = 60_000;

interface Known {
  readonly name: Promise<string | undefined>;
  readonly until: number;
}

export function createNameService(now: () => number = Date.now): NameService {
  const users = new Map<number, Known>();
  const groups = new Map<number, Known>();
  const look = (known: Map<number, Known>, id: number, ask: (id: number) => Promise<string | undefined>) => {
    const found = known.get(id);
    if (found && found.until > now()) return found.name;
    const name = ask(id);
    name.catch(() => known.delete(id));
    known.set(id, { name, until: now() + REMEMBER_MS });
    if (known.size > MOST_REMEMBERED) known.delete(known.keys().next().value ?? id);
    return name;
  };
  return { user: (uid) => look(users, uid, userName), group: (gid) => look(groups, gid, groupName) };
}
