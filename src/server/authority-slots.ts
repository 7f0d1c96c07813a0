import type { KeyObject } from 'node:crypto';
import { TouchmarkError } from '../errors.js';
import type { AuthorityBook, Purpose } from './authority-book.js';
import { unavailable } from './authority-book.js';
import type { KeyManager, KeyType } from './key-managers/contract.js';
import type { AuthorityRecord } from './model.js';

/** What X.509 and JWT authorities differ in. */
export interface AuthorityKind<Signer> {
  readonly purpose: Purpose;
  /** Makes the record of a new authority around a key; `now` is Unix seconds. */
  make(key: KeyObject, keyName: string, now: number): Promise<AuthorityRecord>;
  /** Undefined when the key is not the record's. */
  signerOf(record: AuthorityRecord, key: KeyObject): Signer | undefined;
}

export interface SlotsDeps {
  readonly book: AuthorityBook;
  readonly keys: KeyManager;
  readonly keyType: KeyType;
  /** Unix seconds. */
  readonly now: () => number;
  readonly warn: (message: string, fields: Record<string, unknown>) => void;
}

/** The changes of one purpose. The caller sees to it that they run one after the other. */
export interface Slots<Signer> {
  /** @throws TouchmarkError `authority_unavailable` */
  signer(): Signer;
  /** Takes up the keys of a former run; an authority whose key is gone signs no more and stays published. */
  load(): Promise<void>;
  prepare(): Promise<AuthorityRecord>;
  activate(id: string): Promise<AuthorityRecord>;
  /** Makes an authority and lets it sign at once, since there is none. */
  replace(): Promise<AuthorityRecord>;
  taint(id: string): Promise<AuthorityRecord>;
  revoke(id: string): Promise<AuthorityRecord>;
}

export function createSlots<Signer extends { notAfter: number }>(
  kind: AuthorityKind<Signer>,
  deps: SlotsDeps,
): Slots<Signer> {
  const { book } = deps;
  const { purpose } = kind;
  const signers = new Map<string, Signer>();
  const keyName = (n: number) => `${purpose}-${n}`;
  const names = [1, 2, 3].map(keyName);
  const state = () => book.state(purpose);

  /** A name that neither the active nor the prepared authority uses, so that nothing is lost if the record is not stored. */
  async function make(): Promise<AuthorityRecord> {
    const used = [state().active?.keyName, state().prepared?.keyName];
    const name = names.find((candidate) => !used.includes(candidate)) ?? keyName(0);
    const key = await deps.keys.generate(name, deps.keyType);
    const record = await kind.make(key, name, deps.now());
    const signer = kind.signerOf(record, key);
    if (signer === undefined) throw unavailable(purpose, 'the new key is not the key of its certificate');
    signers.set(record.id, signer);
    return record;
  }

  /** Keys that sign no more are destroyed; failing that, again at the next start. */
  async function forgetKeys(): Promise<void> {
    const used = [state().active?.keyName, state().prepared?.keyName];
    for (const name of names.filter((candidate) => !used.includes(candidate))) {
      await deps.keys.remove(name).catch((error: unknown) => {
        deps.warn('a key that signs no more could not be removed', { key: name, error });
      });
    }
    const ids = [state().active?.id, state().prepared?.id];
    for (const id of [...signers.keys()]) if (!ids.includes(id)) signers.delete(id);
  }

  async function load(): Promise<void> {
    const lost: AuthorityRecord[] = [];
    for (const record of book.records(purpose)) {
      if (record.slot === 'old') continue;
      const key = await deps.keys.get(record.keyName);
      const signer = key === undefined ? undefined : kind.signerOf(record, key);
      if (signer === undefined) lost.push(record);
      else signers.set(record.id, signer);
    }
    if (lost.length > 0) await book.change({ put: lost.map(retired) });
    for (const { id } of lost)
      deps.warn('the key of an authority is gone; it signs no more', { purpose, id });
    await forgetKeys();
  }

  async function prepare(): Promise<AuthorityRecord> {
    const unused = state().prepared;
    const record = await make();
    await book.change({ put: [record], drop: unused === undefined ? [] : [unused] });
    await forgetKeys();
    return record;
  }

  async function switchTo(record: AuthorityRecord): Promise<AuthorityRecord> {
    const { active, prepared } = state();
    const next: AuthorityRecord = { ...record, slot: 'active' };
    const unused = prepared === undefined || prepared.id === record.id ? [] : [prepared];
    await book.change({ put: active === undefined ? [next] : [next, retired(active)], drop: unused });
    await forgetKeys();
    return next;
  }

  async function activate(id: string): Promise<AuthorityRecord> {
    const record = known(book, purpose, id);
    if (record.slot !== 'prepared') {
      throw refused('authority_not_prepared', 'only a prepared authority can be activated', record);
    }
    if (record.expiresAt <= deps.now()) {
      throw refused('authority_not_prepared', 'the prepared authority has ended', record);
    }
    return switchTo(record);
  }

  async function taint(id: string): Promise<AuthorityRecord> {
    const record = replaced(known(book, purpose, id), 'tainted');
    if (record.tainted) throw refused('authority_tainted', 'the authority is tainted already', record);
    const tainted = { ...record, tainted: true };
    await book.change({ put: [tainted] });
    return tainted;
  }

  async function revoke(id: string): Promise<AuthorityRecord> {
    const record = replaced(known(book, purpose, id), 'revoked');
    if (!record.tainted) {
      throw refused('authority_not_tainted', 'an authority that is not tainted cannot be revoked', record);
    }
    await book.change({ drop: [record] });
    return record;
  }

  function signer(): Signer {
    const { active } = state();
    const found = active === undefined ? undefined : signers.get(active.id);
    if (found === undefined) throw unavailable(purpose, 'none is active');
    if (found.notAfter <= deps.now()) throw unavailable(purpose, 'the active one has ended');
    return found;
  }

  return { signer, load, prepare, activate, replace: async () => switchTo(await make()), taint, revoke };
}

function retired(record: AuthorityRecord): AuthorityRecord {
  return { ...record, slot: 'old', keyName: '' };
}

function known(book: AuthorityBook, purpose: Purpose, id: string): AuthorityRecord {
  if (id === '') throw new TouchmarkError('authority_id_missing', 'no authority ID was given');
  const record = book.records(purpose).find((candidate) => candidate.id === id);
  if (record === undefined) {
    throw new TouchmarkError(
      'authority_unknown',
      `there is no authority with the ID ${JSON.stringify(id.slice(0, 100))}`,
    );
  }
  return record;
}

/** SVIDs of the active one are being made, and the prepared one is about to sign. */
function replaced(record: AuthorityRecord, verb: 'tainted' | 'revoked'): AuthorityRecord {
  if (record.slot === 'active') {
    throw refused('authority_in_use', `the active authority cannot be ${verb}`, record);
  }
  if (record.slot !== 'old')
    throw refused('authority_not_old', `only an old authority can be ${verb}`, record);
  return record;
}

function refused(
  code:
    | 'authority_in_use'
    | 'authority_not_old'
    | 'authority_tainted'
    | 'authority_not_tainted'
    | 'authority_not_prepared',
  message: string,
  record: AuthorityRecord,
): TouchmarkError {
  return new TouchmarkError(code, `${message}: ${record.id}`);
}
