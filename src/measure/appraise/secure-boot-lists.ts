import type { Digest, SecureBootRule } from '../policy/model.js';
import { addBoot, type SeenEvent } from './boot-events.js';
import { type EfiVariable, readSignatureLists, type SignatureEntry } from './efi-variable.js';
import type { ReasonCode } from './reasons.js';
import type { SecureBootContext } from './secure-boot-context.js';

type Lists = Pick<SecureBootRule, 'platformKeys' | 'keyExchangeKeys' | 'allowed'>;
type Context = Pick<SecureBootContext, 'tally' | 'facts' | 'rule'>;

/** What an event that is accepted as a whole need not be compared with. Revocations are asked for all the same. */
export const noLists: Lists = { platformKeys: [], keyExchangeKeys: [], allowed: [] };

const closed: Readonly<Record<string, { readonly rows: keyof Lists; readonly code: ReasonCode }>> = {
  PK: { rows: 'platformKeys', code: 'platform_key_unknown' },
  KEK: { rows: 'keyExchangeKeys', code: 'key_exchange_key_unknown' },
  db: { rows: 'allowed', code: 'db_entry_unknown' },
};
const databases = new Set(['PK', 'KEK', 'db', 'dbx', 'dbt', 'dbr']);

/** PK, KEK and db hold nothing that is not named; dbx at least what is. */
export function judgeLists(seen: SeenEvent, variable: EfiVariable, { tally, facts, rule }: Context): void {
  const { name } = variable;
  if (!databases.has(name)) return;
  const entries = readSignatureLists(variable.value);
  if (!entries) {
    addBoot(tally, 'fail', 'variable_malformed', seen, `measures ${name}, which is no list of signatures`);
    return;
  }
  if (name === 'db') for (const { data } of entries) facts.db.add(data);
  if (rule.enabled && entries.length === 0 && (name === 'PK' || name === 'KEK')) {
    addBoot(tally, 'fail', 'key_missing', seen, `measures ${name} without any key`);
  }
  const list = closed[name];
  if (list) judgeClosed(seen, entries, rule[list.rows], list.code, { tally, facts, rule });
  if (name === 'dbx') judgeRevocations(seen, entries, { tally, facts, rule });
}

function judgeClosed(
  seen: SeenEvent,
  entries: readonly SignatureEntry[],
  named: readonly Digest[],
  code: ReasonCode,
  { tally }: Context,
): void {
  if (named.length === 0) return;
  for (const { names } of entries) {
    if (names.some((name) => named.includes(name))) continue;
    const { index } = seen.event;
    tally.add('fail', () => ({
      code,
      message: `event ${index} in PCR 7 holds an entry that the policy does not name`,
      log: 'boot-log',
      event: index,
      pcr: 7,
      value: names[0] ?? '',
    }));
  }
}

function judgeRevocations(
  seen: SeenEvent,
  entries: readonly SignatureEntry[],
  { tally, rule }: Context,
): void {
  const held = new Set(entries.flatMap(({ names }) => names));
  const { index } = seen.event;
  for (const wanted of rule.revokedAtLeast.filter((name) => !held.has(name))) {
    tally.add('fail', () => ({
      code: 'dbx_entry_missing',
      message: `dbx in event ${index} lacks a revocation that the policy asks for`,
      log: 'boot-log',
      event: index,
      pcr: 7,
      value: wanted,
    }));
  }
}
