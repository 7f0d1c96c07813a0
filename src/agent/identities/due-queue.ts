import type { Clock } from '../../clock.js';

/** Things to do at their times, one timer for all of them: nothing looks around in the meantime. */
export interface DueQueue extends Disposable {
  /** Plans or moves what is due under a key. Unix milliseconds. */
  at(key: string, when: number): void;
  cancel(key: string): void;
  readonly size: number;
}

interface Slot {
  readonly key: string;
  readonly when: number;
}

/** Calls `due` with every key whose time has come, in the order of their times; a key is forgotten before the call. */
export function createDueQueue(clock: Clock, due: (keys: readonly string[]) => void): DueQueue {
  const planned = new Map<string, Slot>();
  let heap: Slot[] = [];
  let timer: { when: number; cancel: () => void } | undefined;

  function arm(): void {
    dropStale();
    const first = heap[0];
    if (timer !== undefined && timer.when === first?.when) return;
    timer?.cancel();
    timer = undefined;
    if (first === undefined) return;
    timer = { when: first.when, cancel: clock.after(Math.max(0, first.when - clock.now()), fire) };
  }

  function fire(): void {
    timer = undefined;
    const keys: string[] = [];
    for (;;) {
      dropStale();
      const first = heap[0];
      if (first === undefined || first.when > clock.now()) break;
      pop(heap);
      planned.delete(first.key);
      keys.push(first.key);
    }
    if (keys.length > 0) due(keys);
    arm();
  }

  /** A moved key leaves its old slot behind; slots that no longer count are thrown away when they surface, or all at once. */
  function dropStale(): void {
    if (heap.length > 64 && heap.length > planned.size * 2) {
      heap = [...planned.values()].sort((a, b) => a.when - b.when);
    }
    for (let first = heap[0]; first !== undefined && planned.get(first.key) !== first; first = heap[0])
      pop(heap);
  }

  return {
    at(key, when) {
      const slot = { key, when };
      planned.set(key, slot);
      push(heap, slot);
      arm();
    },
    cancel(key) {
      if (planned.delete(key)) arm();
    },
    get size() {
      return planned.size;
    },
    [Symbol.dispose]() {
      planned.clear();
      heap = [];
      timer?.cancel();
      timer = undefined;
    },
  };
}

function push(heap: Slot[], slot: Slot): void {
  let at = heap.push(slot) - 1;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    const above = heap[parent];
    if (above === undefined || above.when <= slot.when) break;
    heap[at] = above;
    at = parent;
  }
  heap[at] = slot;
}

function pop(heap: Slot[]): void {
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return;
  let at = 0;
  for (;;) {
    const child = smallerChild(heap, at);
    const below = heap[child];
    if (below === undefined || below.when >= last.when) break;
    heap[at] = below;
    at = child;
  }
  heap[at] = last;
}

function smallerChild(heap: readonly Slot[], at: number): number {
  const left = heap[2 * at + 1];
  const right = heap[2 * at + 2];
  return left !== undefined && right !== undefined && right.when < left.when ? 2 * at + 2 : 2 * at + 1;
}
