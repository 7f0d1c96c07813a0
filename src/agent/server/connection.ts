import type { Clock } from '../../clock.js';
import { TouchmarkError } from '../../errors.js';
import type { NodeSvid, ServerApi } from './api.js';
import type { Dial, ServerChannel } from './channel.js';

/**
 * The channel that is up with the node's SVID. A renewed SVID opens a second one beside it; the first is closed when the
 * second works, so that calls never find nothing.
 */
export interface ServerConnection extends Disposable {
  /** @throws TouchmarkError `server_away` while there is none */
  api(): ServerApi;
  /** Opens a channel with this SVID; it becomes the one for calls with `adopt`. */
  open(svid: NodeSvid): ServerChannel;
  /** From now on calls go here; the one before is closed after its calls had time to end. */
  adopt(channel: ServerChannel): void;
  /** Closes a channel that failed. */
  drop(channel: ServerChannel): void;
}

/** Longer than any call may take. */
const GRACE_MS = 35_000;

export function createServerConnection(dial: Dial, clock: Clock): ServerConnection {
  return new Connection(dial, clock);
}

class Connection implements ServerConnection {
  readonly #dial: Dial;
  readonly #clock: Clock;
  /** Every channel that is open, and how to call its closing off where that is planned. */
  readonly #open = new Map<ServerChannel, () => void>();
  #current: ServerChannel | undefined;

  constructor(dial: Dial, clock: Clock) {
    this.#dial = dial;
    this.#clock = clock;
  }

  api(): ServerApi {
    if (this.#current !== undefined) return this.#current.api;
    throw new TouchmarkError('server_away', 'there is no connection to the server');
  }

  open(svid: NodeSvid): ServerChannel {
    const channel = this.#dial(svid);
    this.#open.set(channel, () => {});
    return channel;
  }

  adopt(channel: ServerChannel): void {
    const before = this.#current;
    if (before === channel) return;
    this.#current = channel;
    if (before === undefined) return;
    this.#open.set(
      before,
      this.#clock.after(GRACE_MS, () => this.drop(before)),
    );
  }

  drop(channel: ServerChannel): void {
    if (this.#current === channel) this.#current = undefined;
    const stopWaiting = this.#open.get(channel);
    if (stopWaiting === undefined) return;
    stopWaiting();
    this.#open.delete(channel);
    channel[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    for (const channel of [...this.#open.keys()]) this.drop(channel);
  }
}
