import type { Clock } from '../../clock.js';
import type { Measurer } from './measurer.js';

/** The kernel tells nobody when it measures something, so its count is looked at. */
export const LOOK_MS = 200;
export const ANNOUNCE_MS = 1_000;

/**
 * Announces that the kernel's list holds more than the last evidence covers: at most once a second, and each length once. Looks
 * for as long as it is not disposed, and not at all where the kernel keeps no list.
 */
export class GrowthWatch implements Disposable {
  readonly #clock: Clock;
  readonly #measurer: Measurer;
  readonly #announce: (imaEntries: number) => void;
  #announced = 0;
  #announcedAt = Number.NEGATIVE_INFINITY;
  #cancel = () => {};
  #over = false;

  constructor(clock: Clock, measurer: Measurer, announce: (imaEntries: number) => void) {
    this.#clock = clock;
    this.#measurer = measurer;
    this.#announce = announce;
    void this.#look();
  }

  [Symbol.dispose](): void {
    this.#over = true;
    this.#cancel();
  }

  async #look(): Promise<void> {
    const entries = await this.#measurer.imaCount();
    if (this.#over || entries === undefined) return;
    const now = this.#clock.now();
    const covered = this.#measurer.covered ?? 0;
    const due = now - this.#announcedAt >= ANNOUNCE_MS;
    if (due && entries > covered && entries > this.#announced) {
      this.#announced = entries;
      this.#announcedAt = now;
      this.#announce(entries);
    }
    this.#cancel = this.#clock.after(LOOK_MS, () => void this.#look());
  }
}
