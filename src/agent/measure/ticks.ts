import type { LogWish, SentLogPart } from '../../attest/logs.js';
import { tickExtraData } from '../../attest/transcript.js';
import type { Clock } from '../../clock.js';
import { messageOf, TouchmarkError } from '../../errors.js';
import type { LogSnapshot } from '../../host/measurements/contract.js';
import type { Logger } from '../../log.js';
import type { Chip } from './chip.js';
import { GrowthWatch } from './growth.js';
import { inlineParts, type Measurer } from './measurer.js';
import { orderedValues, quoteWithValues } from './quote.js';
import { readTick, wishOf } from './wire.js';

/** What a session says of this host's measurements. */
export interface MeasuringStream {
  evidence(evidence: TickEvidence): void;
  logPart(part: SentLogPart): void;
  growth(imaEntries: number): void;
}

/** A LogRequest as it came, not checked. */
export interface LogQuestion {
  /** Number of touchmark.measure.v1.LogKind. */
  readonly log: number;
  readonly offset: bigint;
  readonly maxBytes: number;
}

/** The answer to a tick. */
export interface TickEvidence {
  readonly seq: bigint;
  readonly attest: Uint8Array;
  readonly signature: Uint8Array;
  /** Of the registers that did not move while they were quoted; none when the server holds all. */
  readonly pcrValues: readonly { readonly index: number; readonly value: Uint8Array }[];
  readonly logs: readonly SentLogPart[];
}

export interface TickDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly chip: Chip;
  readonly measurer: Measurer;
}

interface Received {
  readonly bytes: Uint8Array;
  /** By our own clock. */
  readonly at: number;
}

/** A server asks for one piece after the other. */
const MOST_REQUESTS = 8;

/**
 * Answers the ticks of one session, one at a time; of those that wait only the newest is answered. What goes wrong is logged and
 * leaves the server without evidence, from which it draws its own conclusion: silence never looks like health.
 */
export class SessionMeasurement implements Disposable {
  readonly #deps: TickDeps;
  readonly #stream: MeasuringStream;
  readonly #growth: GrowthWatch;
  #waiting: Received | undefined;
  #busy = false;
  #over = false;
  #snapshot: LogSnapshot | undefined;
  #requests = 0;
  #answered: Promise<void> = Promise.resolve();

  constructor(deps: TickDeps, stream: MeasuringStream) {
    this.#deps = deps;
    this.#stream = stream;
    this.#growth = new GrowthWatch(deps.clock, deps.measurer, (entries) => stream.growth(entries));
  }

  /** @param bytes the Tick exactly as it was on the wire */
  tick(bytes: Uint8Array): void {
    this.#waiting = { bytes, at: this.#deps.clock.now() };
    if (!this.#busy) void this.#work();
  }

  /** More of a log that the last evidence did not bring whole. */
  logRequest(question: LogQuestion): void {
    const { log } = this.#deps;
    if (this.#requests >= MOST_REQUESTS) {
      log.warn('the server asks for more of a log before it got what it asked for');
      return;
    }
    try {
      const wish = wishOf(question);
      this.#requests += 1;
      this.#answered = this.#answered.then(() => this.#more(wish));
    } catch (error) {
      log.warn('a request for a log makes no sense', { error: messageOf(error), code: codeOf(error) });
    }
  }

  [Symbol.dispose](): void {
    this.#over = true;
    this.#waiting = undefined;
    this.#growth[Symbol.dispose]();
  }

  async #more(wish: LogWish): Promise<void> {
    this.#snapshot ??= this.#deps.measurer.snapshot();
    const part = await this.#snapshot.read(wish);
    this.#requests -= 1;
    if (!this.#over) this.#stream.logPart(part);
  }

  async #work(): Promise<void> {
    this.#busy = true;
    for (let next = this.#take(); next !== undefined; next = this.#take()) {
      try {
        await this.#answer(next);
      } catch (error) {
        this.#growth.missed();
        this.#deps.log.warn('no evidence for a tick', { error: messageOf(error), code: codeOf(error) });
      }
    }
    this.#busy = false;
  }

  #take(): Received | undefined {
    const next = this.#waiting;
    this.#waiting = undefined;
    return next;
  }

  async #answer({ bytes, at }: Received): Promise<void> {
    const { chip, measurer, clock, log } = this.#deps;
    const { seq, nonce, selection, wishes, withinMs, knownDigest } = readTick(bytes);
    // What the list has before the quote is in every list that is read after it.
    const entries = await measurer.imaCount();
    const request = { unique: chip.unique, extraData: tickExtraData(nonce, bytes), selection };
    const { quote, values } = await chip.use((tpm) => quoteWithValues(tpm, request, knownDigest));
    this.#snapshot = measurer.snapshot();
    const logs = await inlineParts(this.#snapshot, wishes);
    if (this.#over) return;
    if (clock.now() > at + withinMs) {
      this.#growth.missed();
      log.warn('the evidence for a tick came too late', { seq });
      return;
    }
    const { attest, signature } = quote;
    this.#stream.evidence({ seq, attest, signature, pcrValues: orderedValues(values), logs });
    this.#growth.covers(entries);
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof TouchmarkError ? error.code : undefined;
}
