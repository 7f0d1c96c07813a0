/** Opening a LevelDB directory so that nothing torn, foreign or already in use is ever started with. */
import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Level } from 'level';
import { messageOf, TouchmarkError } from '../../errors.js';
import { removeProbe, saysFull } from './disk-space.js';
import { damageBeforeEnd } from './level-log.js';
import {
  corrupt,
  decodeHead,
  emptySum,
  encodeHead,
  FORMAT,
  foldSum,
  HEAD_KEY,
  type Head,
  keyRange,
  sumOf,
} from './level-records.js';

export type LevelDb = Level<string, string>;

const PAGE = 1000;

/**
 * Opens the database, makes it if the directory is empty, and reads every record once to compare the sum: LevelDB
 * skips damaged parts of its log without an error.
 * @throws TouchmarkError `datastore_locked`, `datastore_corrupt`, `datastore_format_unknown`, `datastore_full`, `datastore_failed`
 */
export async function openStore(path: string): Promise<{ db: LevelDb; head: Head }> {
  await refuseForeign(path);
  await refuseBrokenLogs(path);
  const db = await openLevel(path);
  try {
    await removeProbe(path);
    const raw = await db.get(HEAD_KEY);
    const head = raw === undefined ? await initialise(db) : decodeHead(raw);
    if ((await sumAll(db)) !== head.sum) throw corrupt('records are missing or changed');
    return { db, head };
  } catch (error) {
    await db.close().catch(() => {});
    throw error instanceof TouchmarkError ? withPath(error, path) : openError(path, error);
  }
}

/** Opens without the comparison: for a database that this process has just closed. */
export async function openLevel(path: string): Promise<LevelDb> {
  const db: LevelDb = new Level(path, { keyEncoding: 'utf8', valueEncoding: 'utf8' });
  try {
    await db.open();
    return db;
  } catch (error) {
    await db.close().catch(() => {});
    throw openError(path, error);
  }
}

/** A directory with files in it but without LevelDB's CURRENT has lost it, or is not ours: never start afresh over it. */
async function refuseForeign(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 });
    const names = await readdir(path);
    const data = names.filter((name) => /\.(ldb|sst)$|^MANIFEST-/.test(name));
    if (names.includes('CURRENT') || names.every(isLeftover)) return;
    if (data.length > 0) throw corrupt(`${path} has data files but no CURRENT file`);
    throw new TouchmarkError(
      'datastore_failed',
      `the datastore directory ${path} holds files of something else (${names.slice(0, 3).join(', ')})`,
    );
  } catch (error) {
    throw error instanceof TouchmarkError ? error : openError(path, error);
  }
}

/** Before LevelDB sees them: it would drop what follows the damage, and then remove the log. */
async function refuseBrokenLogs(path: string): Promise<void> {
  for (const name of await readdir(path)) {
    if (!/^\d+\.log$/.test(name)) continue;
    const damaged = damageBeforeEnd(await readLog(join(path, name)));
    if (damaged === undefined) continue;
    throw corrupt(`its log ${name} is broken at byte ${damaged}, before its end (${path})`);
  }
}

/** Another process that has the directory open may have removed the log by now. */
async function readLog(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ENOENT') return new Uint8Array();
    throw openError(path, error);
  }
}

/** What a first start that was cut off leaves before CURRENT is there. */
function isLeftover(name: string): boolean {
  return /^(LOCK|LOG|LOG\.old|MANIFEST-000001|\d+\.dbtmp|space-probe\.tmp)$/.test(name);
}

async function initialise(db: LevelDb): Promise<Head> {
  for await (const _ of db.keys({ limit: 1 })) throw corrupt('it has records but no head record');
  const sum = emptySum().toString('hex');
  const head: Head = { format: FORMAT, epoch: randomUUID(), revision: 0, sum };
  await db.put(HEAD_KEY, encodeHead(head), { sync: true });
  return head;
}

async function sumAll(db: LevelDb): Promise<string> {
  await using iterator = db.iterator(keyRange());
  const sum = emptySum();
  for (;;) {
    const page = await iterator.nextv(PAGE);
    if (page.length === 0) return sum.toString('hex');
    for (const [key, raw] of page) foldSum(sum, sumOf(key, raw));
  }
}

function withPath(error: TouchmarkError, path: string): TouchmarkError {
  return new TouchmarkError(error.code, `${error.message} (${path})`, { cause: error });
}

function openError(path: string, error: unknown): TouchmarkError {
  const inner = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const code = (inner as { code?: unknown } | undefined)?.code;
  if (code === 'LEVEL_LOCKED') {
    return new TouchmarkError(
      'datastore_locked',
      `the datastore directory ${path} is in use by another process`,
      { cause: error },
    );
  }
  if (code === 'LEVEL_CORRUPTION') {
    return new TouchmarkError(
      'datastore_corrupt',
      `the datastore is damaged: ${messageOf(inner)} (${path})`,
      {
        cause: error,
      },
    );
  }
  if (saysFull(inner)) {
    return new TouchmarkError('datastore_full', `the datastore ${path} cannot be opened: the disk is full`, {
      cause: error,
    });
  }
  return new TouchmarkError(
    'datastore_failed',
    `the datastore ${path} cannot be opened: ${messageOf(inner)}`,
    {
      cause: error,
    },
  );
}
