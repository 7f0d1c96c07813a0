/** When hosts last showed evidence that was judged. How long ago that is does not hang on the time of day. */
import type { Clock } from '../../clock.js';

export interface Hearing {
  heard(hostId: string): void;
  /** As if nothing had come yet. */
  forget(hostId: string): void;
  /** Unix milliseconds; 0: nothing came since the server began. */
  at(hostId: string): number;
  /** Milliseconds since then; Infinity: nothing came. */
  age(hostId: string): number;
}

export function hearing(clock: Clock): Hearing {
  const last = new Map<string, { readonly at: number; readonly monotonic: number }>();
  return {
    heard: (hostId) => void last.set(hostId, { at: clock.now(), monotonic: clock.monotonic() }),
    forget: (hostId) => void last.delete(hostId),
    at: (hostId) => last.get(hostId)?.at ?? 0,
    age: (hostId) => clock.monotonic() - (last.get(hostId)?.monotonic ?? Number.NEGATIVE_INFINITY),
  };
}
