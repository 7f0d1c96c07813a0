/** Memory that all hosts share: whoever finds no room waits for it in turn, and nobody is inside twice. */
import type { Clock } from '../../clock.js';
import { TouchmarkError } from '../../errors.js';

export interface ByteGate {
  /**
   * Waits until there is room. What is larger than all of it goes in alone.
   * @param who one of a name is inside at a time, and one may wait
   * @param withinMs of waiting; undefined: as long as it takes
   * @returns leaves; calling it again does nothing
   * @throws TouchmarkError `evidence_busy`
   */
  enter(who: string, bytes: number, withinMs?: number): Promise<() => void>;
}

interface Waiting {
  readonly who: string;
  readonly bytes: number;
  letIn(): void;
}

/** @param mostWaiting those who wait may hold something, too */
export function byteGate(
  clock: Clock,
  most: number,
  mostWaiting: number = Number.POSITIVE_INFINITY,
): ByteGate {
  const inside = new Set<string>();
  const waiting = new Map<string, Waiting>();
  let used = 0;
  const admit = () => {
    for (const next of waiting.values()) {
      if (inside.has(next.who)) continue;
      // Who is first stays first, however small those behind are.
      if (used > 0 && used + next.bytes > most) return;
      waiting.delete(next.who);
      next.letIn();
    }
  };
  const leaving = (who: string, bytes: number) => () => {
    if (!inside.delete(who)) return;
    used -= bytes;
    admit();
  };
  return {
    enter: (who, bytes, withinMs) =>
      new Promise((resolve, reject) => {
        if (waiting.has(who) || waiting.size >= mostWaiting) return reject(busy());
        const late = () => waiting.delete(who) && reject(busy());
        const cancel = withinMs === undefined ? () => {} : clock.after(withinMs, late);
        const letIn = () => {
          cancel();
          inside.add(who);
          used += bytes;
          resolve(leaving(who, bytes));
        };
        waiting.set(who, { who, bytes, letIn });
        admit();
      }),
  };
}

function busy(): TouchmarkError {
  return new TouchmarkError('evidence_busy', 'too many hosts send long logs at this moment');
}
