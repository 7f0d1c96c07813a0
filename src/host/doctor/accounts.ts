import { readFile } from 'node:fs/promises';
import type { Machine } from './subject.js';

/** As whom the unit of our package runs, and the group that it adds. */
const AGENT_USER = 'touchmark-agent';
const UNIT_GROUP = 'tss';

export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gids: ReadonlySet<number>;
}

interface Row {
  readonly name: string;
  readonly id: number;
  readonly rest: readonly string[];
}

/** Users of the local files with all their groups; other sources of names are not asked for lists. */
export async function accountsOf({
  passwdFile,
  groupFile,
}: Pick<Machine, 'passwdFile' | 'groupFile'>): Promise<Account[]> {
  const [users, groups] = [await rowsOf(passwdFile), await rowsOf(groupFile)];
  return users.map(({ name, id, rest }) => {
    const member = groups.filter(({ rest: [members = ''] }) => members.split(',').includes(name));
    return { name, uid: id, gids: new Set([Number(rest[0]), ...member.map((group) => group.id)]) };
  });
}

/** The user of the packaged agent, as its unit runs it; undefined where there is none. */
export async function agentAccount(
  machine: Pick<Machine, 'passwdFile' | 'groupFile'>,
): Promise<Account | undefined> {
  const found = (await accountsOf(machine)).find(({ name }) => name === AGENT_USER);
  const added = (await rowsOf(machine.groupFile)).filter(({ name }) => name === UNIT_GROUP);
  return found && { ...found, gids: new Set([...found.gids, ...added.map(({ id }) => id)]) };
}

/** name:password:id:…, which passwd and group have in common. */
async function rowsOf(file: string): Promise<Row[]> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return text.split('\n').flatMap((line) => {
    const [name = '', , id, ...rest] = line.split(':');
    return id === undefined ? [] : [{ name, id: Number(id), rest }];
  });
}
