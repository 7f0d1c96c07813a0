import { messageOf, TouchmarkError } from '../../errors.js';
import type { Commit, Condition, Datastore, Kind, Page, Records, Stored, Write } from './contract.js';
import { bytesToReopen, probeSpace, saysFull } from './disk-space.js';
import { type GroupLane, groupLane, type Outcome } from './group-lane.js';
import { type CommitRequest, keysOf, type StagedGroup, stageGroup, writeBatch } from './level-batch.js';
import { type LevelDb, openLevel, openStore } from './level-open.js';
import {
  corrupt,
  decodeHead,
  decodeRecord,
  HEAD_KEY,
  type Head,
  keyRange,
  recordKey,
} from './level-records.js';
import { type Listeners, listeners } from './listeners.js';
import { type ReadGate, readGate } from './read-gate.js';

/** Commits that wait for one another's disk write are written as one batch of at most this many. */
const LARGEST_GROUP = 128;

/**
 * A datastore in one LevelDB directory, for one process.
 * @throws TouchmarkError `datastore_locked`, `datastore_corrupt`, `datastore_format_unknown`, `datastore_full`, `datastore_failed`
 */
export async function openLevelDatastore(path: string): Promise<Datastore> {
  const { db, head } = await openStore(path);
  return new LevelDatastore(path, db, head);
}

/**
 * After a failed write LevelDB's log ends in a torn or a whole record that nobody acknowledged, its write buffer may
 * still hold the rest, and a failed sync or compaction makes it refuse all further writes. So a failed write leaves the
 * database open for reading only, and the next commit closes it, opens it again and takes back what was not acknowledged.
 */
class LevelDatastore implements Datastore {
  readonly epoch: string;
  readonly #path: string;
  readonly #lane: GroupLane<CommitRequest, number>;
  readonly #gate: ReadGate = readGate();
  readonly #listeners: Listeners<Commit> = listeners();
  /** Undefined while closed: for good, or because it could not be opened again. */
  #db: LevelDb | undefined;
  #head: Head;
  /** The group whose write failed and may be in the log. */
  #torn: StagedGroup | undefined;
  #disposed = false;

  constructor(path: string, db: LevelDb, head: Head) {
    this.#path = path;
    this.#db = db;
    this.#head = head;
    this.epoch = head.epoch;
    this.#lane = groupLane((requests) => this.#commitGroup(requests), LARGEST_GROUP);
  }

  get revision(): number {
    return this.#head.revision;
  }

  get<K extends Kind>(kind: K, key: string): Promise<Stored<Records[K]> | undefined> {
    return this.#read(async (db) => {
      const dbKey = recordKey(kind, key);
      const raw = await db.get(dbKey);
      return raw === undefined ? undefined : decodeRecord(kind, dbKey, raw);
    });
  }

  list<K extends Kind>(kind: K, page: Page = {}): Promise<Stored<Records[K]>[]> {
    const { limit = -1, descending: reverse = false } = page;
    return this.#read(async (db) => {
      const rows = await db.iterator({ ...keyRange(kind, page), limit, reverse }).all();
      return rows.map(([dbKey, raw]) => decodeRecord(kind, dbKey, raw));
    });
  }

  async commit(writes: readonly Write[], conditions: readonly Condition[] = []): Promise<number> {
    if (this.#disposed) throw failed('it is closed');
    return this.#lane.add({ writes, conditions });
  }

  subscribe(listener: (commit: Commit) => void): () => void {
    return this.#listeners.add(listener);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
    await this.#lane.drained();
    await this.#gate.alone(async () => {
      const db = this.#db;
      this.#db = undefined;
      await db?.close();
    });
  }

  #read<T>(task: (db: LevelDb) => Promise<T>): Promise<T> {
    return this.#gate.read(async () => {
      const db = this.#open();
      try {
        return await task(db);
      } catch (error) {
        throw this.#translated(error);
      }
    });
  }

  async #commitGroup(requests: readonly CommitRequest[]): Promise<Outcome<number>[]> {
    if (this.#torn !== undefined || this.#db === undefined) await this.#gate.alone(() => this.#recover());
    const group = await this.#stage(requests);
    if (group.operations.length > 0) await this.#write(group);
    return group.staged.map((staged) => {
      if ('error' in staged) return staged;
      if (staged.commit.writes.length > 0) this.#listeners.tell(staged.commit);
      return { result: staged.commit.revision };
    });
  }

  async #stage(requests: readonly CommitRequest[]): Promise<StagedGroup> {
    const keys = keysOf(requests);
    const values = await this.#read((db) => db.getMany(keys));
    return stageGroup(requests, new Map(keys.map((key, i) => [key, values[i]])), this.#head);
  }

  /** One more attempt when the disk has room after all: an earlier compaction may have been what failed. */
  async #write(group: StagedGroup): Promise<void> {
    try {
      await this.#batch(group);
    } catch {
      await this.#gate.alone(() => this.#recover());
      try {
        await this.#batch(group);
      } catch (again) {
        throw this.#translated(again);
      }
    }
    this.#head = group.head;
  }

  async #batch(group: StagedGroup): Promise<void> {
    this.#torn = group;
    await writeBatch(this.#open(), group.operations);
    this.#torn = undefined;
  }

  /** Runs alone. */
  async #recover(): Promise<void> {
    try {
      await this.#reopen();
    } catch (error) {
      throw this.#translated(error);
    }
  }

  /** The probe comes first, so that a full disk does not cost the open database. */
  async #reopen(): Promise<void> {
    const refused = await probeSpace(this.#path, await bytesToReopen(this.#path));
    if (refused !== undefined) throw refused;
    const old = this.#db;
    this.#db = undefined;
    await old?.close();
    const db = await openLevel(this.#path);
    try {
      await this.#takeBack(db);
    } catch (error) {
      await db.close().catch(() => {});
      throw error;
    }
    this.#db = db;
    this.#torn = undefined;
  }

  /** The unacknowledged batch is all there or not at all; its callers were told that it is not. */
  async #takeBack(db: LevelDb): Promise<void> {
    const head = decodeHead((await db.get(HEAD_KEY)) ?? '');
    if (head.sum === this.#head.sum && head.revision === this.#head.revision) return;
    if (this.#torn === undefined || head.sum !== this.#torn.head.sum) {
      throw corrupt(`it came back at revision ${head.revision} after ${this.#head.revision}`);
    }
    await writeBatch(db, this.#torn.inverse);
  }

  #open(): LevelDb {
    if (this.#db === undefined)
      throw failed(this.#disposed ? 'it is closed' : 'it could not be opened again');
    return this.#db;
  }

  #translated(error: unknown): TouchmarkError {
    if (error instanceof TouchmarkError) return error;
    if (saysFull(error)) {
      return new TouchmarkError('datastore_full', `the disk of the datastore ${this.#path} is full`, {
        cause: error,
      });
    }
    return failed(messageOf(error), error);
  }
}

function failed(why: string, cause?: unknown): TouchmarkError {
  return new TouchmarkError('datastore_failed', `the datastore failed: ${why}`, { cause });
}
