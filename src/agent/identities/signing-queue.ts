import type { KeyObject } from 'node:crypto';
import { TouchmarkError } from '../../errors.js';
import { type Entry, measuredDigests } from '../../spiffe/entry.js';
import { buildCsr } from '../../x509/csr.js';
import type { SignRequest, SignResult } from '../server/api.js';

/** What became of one entry's request. */
export type Signed =
  | { readonly entry: Entry; readonly key: KeyObject; readonly chain: readonly Uint8Array[] }
  | { readonly entry: Entry; readonly error: unknown };

export interface SigningQueueDeps {
  sign(requests: readonly SignRequest[]): Promise<readonly SignResult[]>;
  /** A new private key, made off the event loop. */
  makeKey(): Promise<KeyObject>;
  done(outcome: Signed): void;
  readonly signal: AbortSignal;
}

/** BatchNewX509SVID takes no more in SPIRE's limits without being slowed down. */
const MOST_PER_CALL = 100;
const MOST_CALLS = 4;
/** Of these at most so many for measured binaries: the server may wait for evidence before it signs. */
const MOST_MEASURED_CALLS = 2;

/** What waits for the same kind of call. */
interface Lane {
  readonly urgent: Map<string, Entry>;
  readonly ordinary: Map<string, Entry>;
  readonly mostCalls: number;
  calls: number;
}

/**
 * Turns wishes for SVIDs into few large calls: what is asked for within one turn of the event loop travels together, except
 * that measured binaries, which can take seconds, hold up nobody else.
 */
export class SigningQueue {
  readonly #deps: SigningQueueDeps;
  readonly #measured = newLane(MOST_MEASURED_CALLS);
  readonly #others = newLane(MOST_CALLS);
  readonly #lanes = [this.#measured, this.#others];
  readonly #waiting = this.#lanes.flatMap(({ urgent, ordinary }) => [urgent, ordinary]);
  /** Revisions that are being signed, by entry. */
  readonly #inFlight = new Map<string, number>();
  #pumping = false;
  #generation = 0;

  constructor(deps: SigningQueueDeps) {
    this.#deps = deps;
  }

  /** Waiting and in flight. */
  get size(): number {
    return this.#waiting.reduce((sum, { size }) => sum + size, this.#inFlight.size);
  }

  /** A wish for an entry that is queued, or that is being signed at this revision, joins it. */
  add(entry: Entry, urgent: boolean): void {
    if (this.#inFlight.get(entry.id) === entry.revisionNumber) return;
    const lane = measuredDigests(entry).length > 0 ? this.#measured : this.#others;
    const hurries = urgent || this.#lanes.some((one) => one.urgent.has(entry.id));
    const into = hurries ? lane.urgent : lane.ordinary;
    for (const waiting of this.#waiting) if (waiting !== into) waiting.delete(entry.id);
    into.set(entry.id, entry);
    this.#pumpSoon();
  }

  remove(entryId: string): void {
    for (const waiting of this.#waiting) waiting.delete(entryId);
  }

  /** Forgets everything; what is in flight is thrown away when it comes. */
  clear(): void {
    this.#generation += 1;
    for (const waiting of this.#waiting) waiting.clear();
    this.#inFlight.clear();
  }

  #pumpSoon(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    queueMicrotask(() => {
      this.#pumping = false;
      for (const lane of this.#lanes) this.#pump(lane);
    });
  }

  #pump(lane: Lane): void {
    while (lane.calls < lane.mostCalls && this.#calls() < MOST_CALLS && !this.#deps.signal.aborted) {
      const batch = this.#takeBatch(lane);
      if (batch.length === 0) return;
      void this.#run(lane, batch);
    }
  }

  #calls(): number {
    return this.#measured.calls + this.#others.calls;
  }

  #takeBatch({ urgent, ordinary }: Lane): Entry[] {
    const batch: Entry[] = [];
    for (const waiting of [urgent, ordinary]) {
      for (const [id, entry] of waiting) {
        if (batch.length === MOST_PER_CALL) return batch;
        waiting.delete(id);
        this.#inFlight.set(id, entry.revisionNumber);
        batch.push(entry);
      }
    }
    return batch;
  }

  async #run(lane: Lane, batch: readonly Entry[]): Promise<void> {
    lane.calls += 1;
    const begun = this.#generation;
    const outcomes = await signBatch(this.#deps, batch);
    lane.calls -= 1;
    this.#pumpSoon();
    if (begun !== this.#generation) return;
    for (const { id, revisionNumber } of batch) {
      if (this.#inFlight.get(id) === revisionNumber) this.#inFlight.delete(id);
    }
    for (const outcome of outcomes) this.#deps.done(outcome);
  }
}

function newLane(mostCalls: number): Lane {
  return { urgent: new Map(), ordinary: new Map(), mostCalls, calls: 0 };
}

interface Prepared {
  readonly entry: Entry;
  readonly key: KeyObject;
  readonly csr: Uint8Array;
}

/** Never rejects: a call that fails is the outcome of each of its entries. */
async function signBatch(deps: SigningQueueDeps, batch: readonly Entry[]): Promise<Signed[]> {
  try {
    const prepared: Prepared[] = [];
    // One after the other: each key is made on a pool thread, and the event loop turns between them.
    for (const entry of batch) {
      const key = await deps.makeKey();
      prepared.push({ entry, key, csr: buildCsr({ key }) });
    }
    const results = await deps.sign(prepared.map(({ entry, csr }) => ({ entryId: entry.id, csr })));
    return prepared.map(({ entry, key }, index) => outcome(entry, key, results[index]));
  } catch (error) {
    return batch.map((entry) => ({ entry, error }));
  }
}

function outcome(entry: Entry, key: KeyObject, result: SignResult | undefined): Signed {
  if (result === undefined) {
    const message = `the server gave no answer for entry ${JSON.stringify(entry.id)}`;
    return { entry, error: new TouchmarkError('server_answer_invalid', message) };
  }
  return 'error' in result ? { entry, error: result.error } : { entry, key, chain: result.chain };
}
