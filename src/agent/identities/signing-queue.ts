import type { KeyObject } from 'node:crypto';
import { TouchmarkError } from '../../errors.js';
import type { Entry } from '../../spiffe/entry.js';
import { buildCsr } from '../../x509/csr.js';
import type { SignRequest, SignResult } from '../server/api.js';

/** What became of one entry's request. */
export type Signed =
  | { readonly entry: Entry; readonly key: KeyObject; readonly chain: readonly Uint8Array[] }
  | { readonly entry: Entry; readonly error: unknown };

export interface SigningQueueDeps {
  sign(requests: readonly SignRequest[], signal: AbortSignal): Promise<readonly SignResult[]>;
  /** A new private key, made off the event loop. */
  makeKey(): Promise<KeyObject>;
  done(outcome: Signed): void;
  readonly signal: AbortSignal;
}

/** Turns wishes for SVIDs into few large calls: what is asked for within one turn of the event loop travels together. */
export interface SigningQueue {
  /** A wish for an entry that is queued, or that is being signed at this revision, joins it. */
  add(entry: Entry, urgent: boolean): void;
  remove(entryId: string): void;
  /** Forgets everything; what is in flight is thrown away when it comes. */
  clear(): void;
  /** Waiting and in flight. */
  readonly size: number;
}

/** BatchNewX509SVID takes no more in SPIRE's limits without being slowed down. */
const MOST_PER_CALL = 100;
const MOST_CALLS = 4;

interface Prepared {
  readonly entry: Entry;
  readonly key: KeyObject;
  readonly csr: Uint8Array;
}

export function createSigningQueue(deps: SigningQueueDeps): SigningQueue {
  const urgent = new Map<string, Entry>();
  const ordinary = new Map<string, Entry>();
  const inFlight = new Map<string, number>();
  let calls = 0;
  let pumping = false;
  let generation = 0;

  function pumpSoon(): void {
    if (pumping) return;
    pumping = true;
    queueMicrotask(() => {
      pumping = false;
      while (calls < MOST_CALLS && urgent.size + ordinary.size > 0 && !deps.signal.aborted) {
        void run(takeBatch());
      }
    });
  }

  function takeBatch(): Entry[] {
    const batch: Entry[] = [];
    for (const waiting of [urgent, ordinary]) {
      for (const [id, entry] of waiting) {
        if (batch.length === MOST_PER_CALL) return batch;
        waiting.delete(id);
        inFlight.set(id, entry.revisionNumber);
        batch.push(entry);
      }
    }
    return batch;
  }

  async function run(batch: readonly Entry[]): Promise<void> {
    calls += 1;
    const begun = generation;
    const outcomes = await signBatch(deps, batch);
    calls -= 1;
    if (begun === generation) {
      for (const entry of batch) {
        if (inFlight.get(entry.id) === entry.revisionNumber) inFlight.delete(entry.id);
      }
      for (const outcome of outcomes) deps.done(outcome);
    }
    pumpSoon();
  }

  return {
    add(entry, isUrgent) {
      if (inFlight.get(entry.id) === entry.revisionNumber) return;
      if (isUrgent || urgent.has(entry.id)) {
        ordinary.delete(entry.id);
        urgent.set(entry.id, entry);
      } else {
        ordinary.set(entry.id, entry);
      }
      pumpSoon();
    },
    remove(entryId) {
      urgent.delete(entryId);
      ordinary.delete(entryId);
    },
    clear() {
      generation += 1;
      urgent.clear();
      ordinary.clear();
      inFlight.clear();
    },
    get size() {
      return urgent.size + ordinary.size + inFlight.size;
    },
  };
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
    const requests = prepared.map(({ entry, csr }) => ({ entryId: entry.id, csr }));
    const results = await deps.sign(requests, deps.signal);
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
