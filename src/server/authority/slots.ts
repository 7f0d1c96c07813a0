import type { KeyObject } from 'node:crypto';
import { messageOf, TouchmarkError } from '../../errors.js';
import type { AuthorityState } from '../contract.js';
import type { KeyManager, KeyType } from '../key-managers/contract.js';
import type { AuthorityRecord } from '../model.js';
import type { AuthorityBook, Purpose } from './book.js';
import { unavailable } from './book.js';

/** What X.509 and JWT authorities differ in. */
export interface AuthorityKind<Signer> {
  readonly purpose: Purpose;
  /** Of how many that were replaced the keys are kept until they end: for the lists of what is withdrawn. The newest keep theirs. */
  readonly oldKeys: number;
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
  /** Of every authority whose key is held: the active one, the prepared one, and old ones. */
  signers(): readonly Signer[];
  /** Takes up the keys of a former run; an authority whose key is gone signs no more and stays published. */
  load(): Promise<void>;
  prepare(): Promise<AuthorityRecord>;
  activate(id: string): Promise<AuthorityRecord>;
  /** Makes an authority and lets it sign at once, since there is none. */
  replace(): Promise<AuthorityRecord>;
  taint(id: string): Promise<AuthorityRecord>;
  revoke(id: string): Promise<AuthorityRecord>;
  /** Destroys the keys that no authority has any more; failing that, again at the next change or start. */
  forgetKeys(): Promise<void>;
}

interface Part<Signer> {
  readonly kind: AuthorityKind<Signer>;
  readonly deps: SlotsDeps;
  /** By the ID of the authority. */
  readonly signers: Map<string, Signer>;
}

export function createSlots<Signer extends { notAfter: number }>(
  kind: AuthorityKind<Signer>,
  deps: SlotsDeps,
): Slots<Signer> {
  const part: Part<Signer> = { kind, deps, signers: new Map() };
  return {
    signer: () => currentSigner(part),
    signers: () => [...part.signers.values()],
    load: () => load(part),
    prepare: () => prepare(part),
    activate: (id) => activate(part, id),
    replace: async () => switchTo(part, await make(part)),
    taint: (id) => taint(part, id),
    revoke: (id) => revoke(part, id),
    forgetKeys: () => forgetKeys(part),
  };
}

/** One is always free beside those of the active, the prepared and the old authorities. */
function keyNames({ purpose, oldKeys }: AuthorityKind<unknown>): string[] {
  return Array.from({ length: 3 + oldKeys }, (_, n) => `${purpose}-${n + 1}`);
}

/** Those whose keys are held, in the order in which they were made. */
function keyed({ kind, deps }: Part<unknown>): AuthorityRecord[] {
  return deps.book.records(kind.purpose).filter(({ keyName }) => keyName !== '');
}

function stateOf({ kind, deps }: Part<unknown>): AuthorityState {
  return deps.book.state(kind.purpose);
}

function currentSigner<Signer extends { notAfter: number }>(part: Part<Signer>): Signer {
  const { purpose } = part.kind;
  const found = part.signers.get(stateOf(part).active?.id ?? '');
  if (found === undefined) throw unavailable(purpose, 'none is active');
  if (found.notAfter <= part.deps.now()) throw unavailable(purpose, 'the active one has ended');
  return found;
}

async function load<Signer>(part: Part<Signer>): Promise<void> {
  const { kind, deps } = part;
  const lost: AuthorityRecord[] = [];
  for (const record of keyed(part)) {
    const key = await deps.keys.get(record.keyName);
    const signer = key === undefined ? undefined : kind.signerOf(record, key);
    if (signer === undefined) lost.push(record);
    else part.signers.set(record.id, signer);
  }
  if (lost.length > 0) await deps.book.change({ put: lost.map(keyless) });
  for (const { purpose, id } of lost) {
    deps.warn('the key of an authority is gone; it signs no more', { purpose, id });
  }
  await forgetKeys(part);
}

/** Under a free name, so that no key is lost if the record cannot be stored. */
async function make<Signer>(part: Part<Signer>): Promise<AuthorityRecord> {
  const { kind, deps, signers } = part;
  const used = keyed(part).map(({ keyName }) => keyName);
  const name = keyNames(kind).find((candidate) => !used.includes(candidate));
  if (name === undefined) throw unavailable(kind.purpose, 'every key name is in use');
  const key = await deps.keys.generate(name, deps.keyType);
  const record = await kind.make(key, name, deps.now());
  const signer = kind.signerOf(record, key);
  if (signer === undefined) throw unavailable(kind.purpose, 'the new key is not the key of its certificate');
  signers.set(record.id, signer);
  return record;
}

async function forgetKeys<Signer>(part: Part<Signer>): Promise<void> {
  const { kind, deps, signers } = part;
  const held = keyed(part);
  const used = held.map(({ keyName }) => keyName);
  for (const name of keyNames(kind).filter((candidate) => !used.includes(candidate))) {
    await deps.keys.remove(name).catch((error: unknown) => {
      deps.warn('a key that signs no more could not be removed', { key: name, error: messageOf(error) });
    });
  }
  for (const id of [...signers.keys()]) if (!held.some((record) => record.id === id)) signers.delete(id);
}

async function prepare<Signer>(part: Part<Signer>): Promise<AuthorityRecord> {
  const unused = stateOf(part).prepared;
  const record = await make(part);
  await part.deps.book.change({ put: [record], drop: unused === undefined ? [] : [unused] });
  await forgetKeys(part);
  return record;
}

async function activate<Signer>(part: Part<Signer>, id: string): Promise<AuthorityRecord> {
  const record = known(part, id);
  if (record.slot !== 'prepared') {
    throw refused('authority_not_prepared', 'only a prepared authority can be activated', record);
  }
  if (record.expiresAt <= part.deps.now()) {
    throw refused('authority_not_prepared', 'the prepared authority has ended', record);
  }
  return switchTo(part, record);
}

async function switchTo<Signer>(part: Part<Signer>, record: AuthorityRecord): Promise<AuthorityRecord> {
  const { active, prepared } = stateOf(part);
  const next: AuthorityRecord = { ...record, slot: 'active' };
  const unused = prepared === undefined || prepared.id === record.id ? [] : [prepared];
  await part.deps.book.change({ put: [next, ...retired(part, active)], drop: unused });
  await forgetKeys(part);
  return next;
}

async function taint(part: Part<unknown>, id: string): Promise<AuthorityRecord> {
  const record = replaced(known(part, id), 'tainted');
  if (record.tainted) throw refused('authority_tainted', 'the authority is tainted already', record);
  const tainted = { ...record, tainted: true };
  await part.deps.book.change({ put: [tainted] });
  return tainted;
}

async function revoke<Signer>(part: Part<Signer>, id: string): Promise<AuthorityRecord> {
  const record = replaced(known(part, id), 'revoked');
  if (!record.tainted) {
    throw refused('authority_not_tainted', 'an authority that is not tainted cannot be revoked', record);
  }
  await part.deps.book.change({ drop: [record] });
  await forgetKeys(part);
  return record;
}

/** The one that was active, and those that give up their keys for it. */
function retired(part: Part<unknown>, active: AuthorityRecord | undefined): AuthorityRecord[] {
  if (active === undefined) return [];
  const old = keyed(part).filter(({ slot }) => slot === 'old');
  const ending: AuthorityRecord[] = [...old, { ...active, slot: 'old' }];
  const without = ending.length - part.kind.oldKeys;
  return ending.flatMap((record, at) =>
    at < without ? keyless(record) : record.id === active.id ? record : [],
  );
}

function keyless(record: AuthorityRecord): AuthorityRecord {
  return { ...record, slot: 'old', keyName: '' };
}

function known({ kind, deps }: Part<unknown>, id: string): AuthorityRecord {
  if (id === '') throw new TouchmarkError('authority_id_missing', 'no authority ID was given');
  const record = deps.book.records(kind.purpose).find((candidate) => candidate.id === id);
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
