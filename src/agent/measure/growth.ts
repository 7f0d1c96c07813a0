import type { Clock } from '../../clock.js';
import type { Measurer } from './measurer.js';

/** The kernel tells nobody when it measures something, so its count is looked at. */
export const LOOK_MS = 200;
/** Looks between two announcements: a second. Counted, because a clock can be set back. */
const PAUSE = 5;
/** After a tick that could not be answered: the chip gets some peace. */
const PAUSE_AFTER_FAILURE = 25;

/**
 * Announces that the kernel's list holds more than the evidence of this session covers: at most once a second, and each length
 * once, unless the tick that it led to came to nothing. Looks for as long as it is not disposed, and not at all where the kernel
 * keeps no list.
 */
export class GrowthWatch implements Disposable {
  readonly #clock: Clock;
  readonly #measurer: Measurer;
  readonly #announce: (imaEntries: number) => void;
  /** Entries that were sent or announced. */
  #told = 0;
  #covered = 0;
  #pause = 0;
  #listed = false;
  #cancel = () => {};
  #over = false;

  constructor(clock: Clock, measurer: Measurer, announce: (imaEntries: number) => void) {
    this.#clock = clock;
    this.#measurer = measurer;
    this.#announce = announce;
    void this.#look();
  }

  /** Evidence is on its way that holds this many entries for certain. */
  covers(entries = 0): void {
    this.#covered = entries;
    this.#told = Math.max(this.#told, entries);
  }

  /** Evidence was asked for and did not go out: what it would have covered is news still. */
  missed(): void {
    this.#told = this.#covered;
    this.#pause = PAUSE_AFTER_FAILURE;
  }

  [Symbol.dispose](): void {
    this.#over = true;
    this.#cancel();
  }

  async #look(): Promise<void> {
    const entries = await this.#measurer.imaCount();
    this.#listed ||= entries !== undefined;
    if (this.#over || !this.#listed) return;
    if (this.#pause > 0) this.#pause -= 1;
    if (entries !== undefined && entries > this.#told && this.#pause === 0) {
      this.#told = entries;
      this.#pause = PAUSE;
      this.#announce(entries);
    }
    this.#cancel = this.#clock.after(LOOK_MS, () => void this.#look());
  }
}
