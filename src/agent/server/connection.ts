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
  const open = new Set<ServerChannel>();
  let current: ServerChannel | undefined;

  function drop(channel: ServerChannel): void {
    if (current === channel) current = undefined;
    if (open.delete(channel)) channel[Symbol.dispose]();
  }

  return {
    api() {
      if (current !== undefined) return current.api;
      throw new TouchmarkError('server_away', 'there is no connection to the server');
    },
    open(svid) {
      const channel = dial(svid);
      open.add(channel);
      return channel;
    },
    adopt(channel) {
      const before = current;
      if (before === channel) return;
      current = channel;
      if (before !== undefined) clock.after(GRACE_MS, () => drop(before));
    },
    drop,
    [Symbol.dispose]() {
      for (const channel of [...open]) drop(channel);
    },
  };
}
