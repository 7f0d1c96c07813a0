import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { silentLogger } from '../../../src/log.js';
import type { JwtSigner } from '../../../src/server/contract.js';
import type { Write } from '../../../src/server/datastores/contract.js';
import type { EventLog, EventQuery } from '../../../src/server/record/contract.js';
import { type EventLogDeps, openEventLog } from '../../../src/server/record/event-log.js';
import type { RecordedEvent } from '../../../src/server/record/model.js';
import type { Bundle } from '../../../src/spiffe/bundle.js';
import { parseTrustDomain } from '../../../src/spiffe/id.js';
import { exportSpki } from '../../../src/x509/spki.js';
import { type ManualClock, manualClock } from '../../fakes/manual-clock.js';
import { type MemoryDatastore, memoryDatastore } from '../../fakes/memory-datastore.js';

/** A log in a directory of its own, with a datastore and a key that outlive it. */
export interface RecordWorld {
  readonly directory: string;
  readonly store: MemoryDatastore;
  readonly clock: ManualClock;
  /** The key that signs now, and those that the bundle publishes. */
  readonly authority: { signer: JwtSigner; published: JwtSigner[] };
  keys(): Map<string, KeyObject>;
  open(more?: Partial<EventLogDeps>): Promise<EventLog>;
  /** All lines of all segments. */
  lines(): Promise<string[]>;
  files(): Promise<string[]>;
  edit(file: string, change: (text: string) => string): Promise<void>;
}

export function jwtSigner(id: string): JwtSigner {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { id, key: privateKey, algorithm: 'ES256', notAfter: 0 };
}

export async function recordWorld(t: TestContext): Promise<RecordWorld> {
  const base = await mkdtemp(join(tmpdir(), 'tm-record-'));
  t.after(() => rm(base, { recursive: true, force: true }));
  const directory = join(base, 'events');
  const store = memoryDatastore();
  const clock = manualClock();
  const signer = jwtSigner('key-1');
  const authority = { signer, published: [signer] };
  const files = async () => (await readdir(directory)).sort();
  return {
    directory,
    store,
    clock,
    authority,
    files,
    keys: () => new Map(authority.published.map(({ id, key }) => [id, createPublicKey(key)])),
    async open(more = {}) {
      const trustDomain = parseTrustDomain('example.org');
      const deps = { directory, store, clock, log: silentLogger(), trustDomain, keep: 0 };
      const log = await openEventLog({ ...deps, ...more });
      log.signWith({ jwt: { signer: () => authority.signer }, bundle: () => bundleOf(authority.published) });
      await log.flushed();
      return log;
    },
    async lines() {
      const segments = (await files()).filter((name) => name.endsWith('.jsonl'));
      const texts = await Promise.all(segments.map((name) => readFile(join(directory, name), 'utf8')));
      return texts.join('').split('\n').slice(0, -1);
    },
    async edit(file, change) {
      const path = join(directory, file);
      await writeFile(path, change(await readFile(path, 'utf8')));
    },
  };
}

function bundleOf(published: readonly JwtSigner[]): Bundle {
  const jwtAuthorities = published.map(({ id, key }) => ({
    keyId: id,
    spki: exportSpki(key),
    expiresAt: 0,
    tainted: false,
  }));
  const trustDomain = parseTrustDomain('example.org');
  return { trustDomain, x509Authorities: [], jwtAuthorities, refreshHint: 0, sequence: 1n };
}

/** A commit that is recorded, with what it takes to tell it from others. */
export function allowWrite(name: string): Write {
  const hash = Buffer.from(name).toString('hex').padEnd(64, '0');
  const value = { hash, name, labels: {}, allowedBy: 'uid 0', allowedAt: 1 };
  return { kind: 'allowed_ek', key: hash, value };
}

const everything: EventQuery = { from: 0, newestFirst: false, limit: 1000, names: [], subject: '', since: 0 };

export async function eventsOf(
  log: EventLog,
  query: Partial<EventQuery> = {},
): Promise<readonly RecordedEvent[]> {
  await log.flushed();
  return (await log.list({ ...everything, ...query })).events;
}

export async function namesOf(log: EventLog, query: Partial<EventQuery> = {}): Promise<string[]> {
  return (await eventsOf(log, query)).map(({ name }) => name);
}
