import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import type { Clock } from '../../clock.js';
import { TouchmarkError } from '../../errors.js';
import type { Logger } from '../../log.js';
import { type Bundle, emptyBundle } from '../../spiffe/bundle.js';
import type { TrustDomain } from '../../spiffe/id.js';
import { importSpki } from '../../x509/spki.js';
import type { Commit, Datastore, Stored, Write } from '../datastores/contract.js';
import type { AuthorityRecord } from '../model.js';
import type { EventLog } from './contract.js';
import { keyFields } from './derive-registry.js';
import { draft } from './draft.js';
import { createLane, type Lane, type Pending } from './lane.js';
import { listEvents } from './list.js';
import type { ChainHead, EventDraft, EventRecord } from './model.js';
import type { RecordEventName } from './names.js';
import { recordedStore } from './recorded-store.js';
import { type RecoveredLog, type RememberedHead, recoverLog } from './recover.js';
import { pruneLeftovers } from './retention.js';
import { readRoot } from './root.js';
import { verifyLog } from './verify.js';

export interface EventLogDeps {
  readonly directory: string;
  /** Not recorded itself; whoever opens the log disposes of it. */
  readonly store: Datastore;
  readonly clock: Clock;
  readonly log: Logger;
  readonly trustDomain: TrustDomain;
  /** Milliseconds that events are kept; 0: for ever. */
  readonly keep: number;
  /** For tests. */
  readonly segmentBytes?: number;
}

const HEAD = { kind: 'meta', key: 'record_head' } as const;
const MOVED_AT_ONCE = 256;

/**
 * Opens the log of a server, mends what a crash left, and takes over what commits left for it.
 * @throws TouchmarkError `record_unreadable`, `record_failed`
 */
export async function openEventLog(deps: EventLogDeps): Promise<EventLog> {
  const { directory, store, clock } = deps;
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const root = await readRoot(directory);
  if (root !== undefined) await pruneLeftovers(directory, root);
  const recovered = await recoverLog(directory, await rememberedHead(store));
  const server = recovered.server ?? `${deps.trustDomain}/${randomBytes(16).toString('hex')}`;
  const moved: string[] = [];
  const lane = await createLane({ ...deps, server, recovered, onMoved: (key) => moved.push(key) });
  const rows = (await store.list('event')).sort((a, b) => a.revision - b.revision);
  for (const pending of await beginning(deps, recovered, rows, server)) lane.add(pending);
  const unsubscribe = store.subscribe((commit) => takeOver(lane, commit));
  const outbox = {
    takeMoved: () => moved.splice(0, MOVED_AT_ONCE),
    giveBack: (keys: readonly string[]) => void moved.unshift(...keys),
    headWrite: () => headWrite(lane.head, server),
  };
  await lane.flushed();
  let published: () => Bundle = () => emptyBundle(deps.trustDomain);
  return {
    store: recordedStore({ store, outbox, clock, rows: rows.map(({ key }) => key) }),
    server,
    get head() {
      return lane.head;
    },
    signWith({ jwt, bundle }) {
      published = bundle;
      lane.signWith(() => jwt.signer());
    },
    flushed: () => lane.flushed(),
    list: (query) => lane.undisturbed(() => listEvents(directory, query, lane.head.seq)),
    verify: verifier(directory, lane, () => published()),
    async close() {
      lane.add(ownAt(deps, store.revision, draft('server_stopping', server)));
      lane.checkpoint();
      // What cannot be written was logged, and stays in the datastore for the next start.
      await lane.flushed().catch(() => {});
    },
    async [Symbol.asyncDispose]() {
      unsubscribe();
      await lane[Symbol.asyncDispose]();
    },
  };
}

async function rememberedHead(store: Datastore): Promise<RememberedHead | undefined> {
  const stored = await store.get(HEAD.kind, HEAD.key);
  return stored === undefined ? undefined : (JSON.parse(stored.value.value) as RememberedHead);
}

function headWrite({ seq, hash }: ChainHead, server: string): Write | undefined {
  return seq === 0 ? undefined : { ...HEAD, value: { value: JSON.stringify({ server, seq, hash }) } };
}

function takeOver(lane: Lane, { revision, writes }: Commit): void {
  for (const write of writes) {
    if (write.kind !== 'event' || 'deleted' in write) continue;
    lane.add({ ...write.value, storeRevision: revision, rowKey: write.key });
  }
}

/** What the log says of its own beginning, then what a crash kept from it. */
async function beginning(
  deps: EventLogDeps,
  recovered: RecoveredLog,
  rows: readonly Stored<EventRecord>[],
  server: string,
): Promise<Pending[]> {
  const { store, log } = deps;
  const { cut, damage, head } = recovered;
  const told: EventDraft[] = [];
  const tell = (name: RecordEventName, fields: Parameters<typeof draft>[2]) =>
    told.push(draft(name, server, fields));
  if (head.seq === 0) {
    tell('record_started', { epoch: store.epoch });
    for (const { value } of await store.list('authority')) told.push(known(value));
  }
  if (cut !== undefined) {
    log.warn('the end of the record was torn and is written again', { ...cut });
    tell('record_repaired', { file: cut.file, bytes: String(cut.bytes) });
  }
  if (damage !== undefined) {
    log.error('the record was changed behind this server', { why: damage.why });
    tell('record_damaged', damage);
  }
  const left = leftRows(recovered, rows, store.revision);
  const start = Math.min(recovered.revision, store.revision);
  const own = told.map((event) => ownAt(deps, start, event));
  const started = draft('server_started', server, { epoch: store.epoch, revision: String(store.revision) });
  return [...own, ...left, ownAt(deps, store.revision, started)];
}

/** An authority that was there before the log. */
function known(authority: AuthorityRecord): EventDraft {
  const { id, purpose, slot } = authority;
  return draft('authority_added', id, { purpose, slot, ...keyFields(authority) });
}

/**
 * Rows of commits that the log does not have, or has in part. A datastore that is older than its log was put back from a
 * backup: its rows are taken, at worst a second time.
 */
function leftRows(
  { revision, eventsOfRevision }: RecoveredLog,
  rows: readonly Stored<EventRecord>[],
  newest: number,
): Pending[] {
  const from = newest < revision ? 0 : revision;
  return rows.map((row) => {
    const done = row.revision > from ? 0 : row.revision === from ? eventsOfRevision : row.value.events.length;
    const events = row.value.events.slice(done);
    return { ...row.value, events, storeRevision: row.revision, rowKey: row.key };
  });
}

function ownAt({ clock }: EventLogDeps, storeRevision: number, event: EventDraft): Pending {
  return { at: clock.now(), by: 'server', events: [event], storeRevision, rowKey: undefined };
}

function verifier(directory: string, lane: Lane, bundle: () => Bundle): EventLog['verify'] {
  let busy = false;
  return async () => {
    if (busy) throw new TouchmarkError('record_busy', 'the record is being verified already');
    busy = true;
    try {
      lane.checkpoint();
      await lane.flushed();
      return await lane.undisturbed(() => {
        const keys = new Map(bundle().jwtAuthorities.map(({ keyId, spki }) => [keyId, importSpki(spki)]));
        return verifyLog({ directory, keys, expected: [lane.head], until: lane.head.seq });
      });
    } finally {
      busy = false;
    }
  };
}
