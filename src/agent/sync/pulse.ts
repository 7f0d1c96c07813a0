import type { Clock } from '../../clock.js';
import { TouchmarkError } from '../../errors.js';
import type { SessionStream } from '../server/api.js';

export const HEARTBEAT_MS = 15_000;
/** After so many missed heartbeats the session is dead, whatever the connection says. */
const MISSED_BEATS = 3;

export interface PulseDeps {
  readonly clock: Clock;
  readonly random: () => number;
}

/** Beats for us and listens for the other side. Jittered, so that a fleet does not beat in step. */
export class Pulse implements Disposable {
  readonly #deps: PulseDeps;
  readonly #stream: Pick<SessionStream, 'heartbeat' | 'cancel'>;
  #silence: TouchmarkError | undefined;
  #cancelSilence = () => {};
  #cancelBeat = () => {};

  constructor(deps: PulseDeps, stream: Pick<SessionStream, 'heartbeat' | 'cancel'>) {
    this.#deps = deps;
    this.#stream = stream;
    this.heard();
    this.#planBeat();
  }

  /** Why the session counts as dead; undefined while it does not. */
  get silence(): TouchmarkError | undefined {
    return this.#silence;
  }

  heard(): void {
    this.#cancelSilence();
    this.#cancelSilence = this.#deps.clock.after(HEARTBEAT_MS * MISSED_BEATS, () => {
      const seconds = (HEARTBEAT_MS * MISSED_BEATS) / 1000;
      this.#silence = new TouchmarkError('session_lost', `the server was silent for ${seconds} seconds`);
      this.#stream.cancel();
    });
  }

  [Symbol.dispose](): void {
    this.#cancelSilence();
    this.#cancelBeat();
  }

  #planBeat(): void {
    const { clock, random } = this.#deps;
    this.#cancelBeat = clock.after(HEARTBEAT_MS * (0.9 + 0.2 * random()), () => {
      this.#stream.heartbeat();
      this.#planBeat();
    });
  }
}
