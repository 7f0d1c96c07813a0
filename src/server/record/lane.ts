/** The one writer of a log: takes events in the order of their commits, writes them in groups, signs, begins files. */
import type { Clock } from '../../clock.js';
import { messageOf, TouchmarkError } from '../../errors.js';
import type { Logger } from '../../log.js';
import type { JwtSigner } from '../contract.js';
import { signCheckpoint } from './checkpoint.js';
import { nextLine } from './line.js';
import { beginWriter, type LogWriter, resumeWriter } from './log-writer.js';
import type { ChainHead, EventDraft, EventRecord } from './model.js';
import type { RecoveredLog } from './recover.js';
import { prunable, prune } from './retention.js';

/** The events of one commit, or one that the log tells of itself. */
export interface Pending extends EventRecord {
  readonly storeRevision: number;
  /** The datastore's row that holds them until they are on disk. */
  readonly rowKey: string | undefined;
}

export interface Lane extends AsyncDisposable {
  readonly head: ChainHead;
  add(pending: Pending): void;
  /** Asks for a checkpoint after what was added so far. */
  checkpoint(): void;
  signWith(signer: () => JwtSigner): void;
  /** @throws TouchmarkError `record_failed` when it could not be written; it is tried again */
  flushed(): Promise<void>;
  /** Nothing is removed while the task runs. */
  undisturbed<T>(task: () => Promise<T>): Promise<T>;
}

export interface LaneDeps {
  readonly directory: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly server: string;
  readonly recovered: RecoveredLog;
  readonly keep: number;
  readonly segmentBytes?: number;
  /** The events of this row are on disk. */
  readonly onMoved: (rowKey: string) => void;
}

const SEGMENT_BYTES = 8 * 1024 * 1024;
const CHECKPOINT_EVENTS = 1000;
const CHECKPOINT_MS = 5 * 60 * 1000;
const GROUP_EVENTS = 1000;
const RETRY_MS = 5_000;

interface State {
  head: ChainHead;
  revision: number;
  sinceCheckpoint: number;
  writer: LogWriter | undefined;
  pending: Pending[];
  wanted: boolean;
  signer: (() => JwtSigner) | undefined;
  failure: unknown;
  pinned: number;
  removing: Promise<void> | undefined;
  stopTimer: (() => void) | undefined;
  stopRetry: (() => void) | undefined;
}

export async function createLane(deps: LaneDeps): Promise<Lane> {
  const { head, revision, sinceCheckpoint, segment } = deps.recovered;
  const writer = segment === undefined ? undefined : await resumeWriter(segment.path, segment.size);
  const state: State = {
    ...{ head, revision, sinceCheckpoint, writer, pending: [], wanted: false, signer: undefined },
    ...{ failure: undefined, pinned: 0, removing: undefined, stopTimer: undefined, stopRetry: undefined },
  };
  let working: Promise<void> | undefined;
  const wake = () => {
    working ??= work(deps, state, wake).finally(() => {
      working = undefined;
    });
  };
  return {
    get head() {
      return state.head;
    },
    add(pending) {
      state.pending.push(pending);
      wake();
    },
    checkpoint() {
      state.wanted = true;
      wake();
    },
    signWith(signer) {
      state.signer = signer;
      state.wanted = true;
      wake();
    },
    async flushed() {
      while (working !== undefined) await working;
      if (state.pending.length > 0) throw failed(state.failure);
    },
    async undisturbed(task) {
      state.pinned += 1;
      try {
        await state.removing?.catch(() => {});
        return await task();
      } finally {
        state.pinned -= 1;
      }
    },
    async [Symbol.asyncDispose]() {
      while (working !== undefined) await working;
      state.stopTimer?.();
      state.stopRetry?.();
      await state.writer?.[Symbol.asyncDispose]();
    },
  };
}

/** Never rejects: what could not be written stays pending, and in the datastore. */
async function work(deps: LaneDeps, state: State, wake: () => void): Promise<void> {
  await Promise.resolve();
  try {
    while (state.pending.length > 0 || state.wanted) await writeGroup(deps, state, wake);
    state.failure = undefined;
  } catch (error) {
    if (state.failure === undefined) {
      deps.log.error('the record of events cannot be written', { error: messageOf(error) });
    }
    state.failure = error;
    state.stopRetry?.();
    state.stopRetry = deps.clock.after(RETRY_MS, wake);
  }
}

/** Whole commits only, so that no segment ends in the middle of one. */
function takeGroup(pending: readonly Pending[]): Pending[] {
  const group: Pending[] = [];
  let events = 0;
  for (const one of pending) {
    if (events >= GROUP_EVENTS) break;
    group.push(one);
    events += one.events.length;
  }
  return group;
}

async function writeGroup(deps: LaneDeps, state: State, wake: () => void): Promise<void> {
  const group = takeGroup(state.pending);
  const built = build(state, group);
  const size = (state.writer?.size ?? 0) + built.lines.reduce((sum, line) => sum + line.length + 1, 0);
  const full = size >= (deps.segmentBytes ?? SEGMENT_BYTES);
  const signed = signIfDue(deps, state, built, group.length === state.pending.length, full);
  if (built.lines.length > 0) {
    state.writer ??= await beginWriter(deps.directory, state.head.seq + 1);
    await state.writer.append(built.lines);
  }
  Object.assign(state, {
    head: built.head,
    revision: built.revision,
    sinceCheckpoint: built.sinceCheckpoint,
  });
  state.pending = state.pending.slice(group.length);
  for (const { rowKey } of group) if (rowKey !== undefined) deps.onMoved(rowKey);
  armTimer(deps, state, wake);
  if (full && signed) await endSegment(deps, state);
}

interface Built {
  readonly lines: Buffer[];
  head: ChainHead;
  revision: number;
  sinceCheckpoint: number;
}

function build(state: State, group: readonly Pending[]): Built {
  const { head, revision, sinceCheckpoint } = state;
  const built: Built = { lines: [], head, revision, sinceCheckpoint };
  for (const { events, at, by, storeRevision } of group) {
    for (const event of events) put(built, event, { at, by, storeRevision });
  }
  return built;
}

function put(built: Built, event: EventDraft, origin: Parameters<typeof nextLine>[2]): void {
  const { event: written, line } = nextLine(built.head, event, origin);
  built.lines.push(line);
  built.head = { seq: written.seq, hash: written.hash };
  built.revision = origin.storeRevision;
  built.sinceCheckpoint = event.name === 'checkpoint' ? 0 : built.sinceCheckpoint + 1;
}

/** @returns whether the last line is a checkpoint now */
function signIfDue(deps: LaneDeps, state: State, built: Built, all: boolean, full: boolean): boolean {
  if (state.wanted && all) state.wanted = false;
  else if (!full && built.sinceCheckpoint < CHECKPOINT_EVENTS) return false;
  if (built.sinceCheckpoint === 0) return built.head.seq > 0;
  if (state.signer === undefined) return false;
  const at = deps.clock.now();
  try {
    const { seq, hash } = built.head;
    const jws = signCheckpoint({ server: deps.server, seq, hash, at }, state.signer());
    const event = { name: 'checkpoint', subject: deps.server, fields: { jws } };
    put(built, event, { at, by: 'server', storeRevision: built.revision });
    return true;
  } catch (error) {
    deps.log.warn('the record of events could not be signed', { error: messageOf(error) });
    return false;
  }
}

/** Once for each run of lines without a checkpoint: an idle server sets no timer. */
function armTimer({ clock }: LaneDeps, state: State, wake: () => void): void {
  if (state.sinceCheckpoint === 0) {
    state.stopTimer?.();
    state.stopTimer = undefined;
    return;
  }
  state.stopTimer ??= clock.after(CHECKPOINT_MS, () => {
    state.stopTimer = undefined;
    state.wanted = true;
    wake();
  });
}

async function endSegment(deps: LaneDeps, state: State): Promise<void> {
  const { writer } = state;
  state.writer = undefined;
  await writer?.[Symbol.asyncDispose]();
  if (deps.keep === 0 || state.pinned > 0) return;
  state.removing = removeOld(deps, state).finally(() => {
    state.removing = undefined;
  });
  await state.removing;
}

/** First it is told in the log, then the root is signed, then files go. */
async function removeOld(deps: LaneDeps, state: State): Promise<void> {
  const { directory, clock, server } = deps;
  const old = await prunable(directory, clock.now() - deps.keep);
  if (old === undefined || state.signer === undefined) return;
  const { seq, hash } = old.last;
  const jws = signCheckpoint({ server, seq, hash, at: clock.now() }, state.signer());
  const built = build(state, []);
  const fields = { last_removed: String(seq), hash, segments: String(old.segments.length) };
  const origin = { at: clock.now(), by: 'server', storeRevision: state.revision };
  put(built, { name: 'record_pruned', subject: server, fields }, origin);
  state.writer ??= await beginWriter(directory, state.head.seq + 1);
  await state.writer.append(built.lines);
  Object.assign(state, { head: built.head, sinceCheckpoint: built.sinceCheckpoint });
  await prune(directory, old, jws);
  deps.log.info('old segments of the record were removed', { last: seq, segments: old.segments.length });
}

function failed(cause: unknown): TouchmarkError {
  const message = `the record of events cannot be written: ${messageOf(cause)}`;
  return new TouchmarkError('record_failed', message, { cause });
}
