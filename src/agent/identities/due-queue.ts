import type { Clock } from '../../clock.js';

interface Slot {
  readonly key: string;
  readonly when: number;
}

/**
 * Things to do at their times, one timer for all of them: nothing looks around in the meantime. `due` is called with every
 * key whose time has come, in the order of their times; a key is forgotten before the call.
 */
export class DueQueue implements Disposable {
  readonly #clock: Clock;
  readonly #due: (keys: readonly string[]) => void;
  readonly #planned = new Map<string, Slot>();
  #heap: Slot[] = [];
  #timer: { readonly when: number; readonly cancel: () => void } | undefined;

  constructor(clock: Clock, due: (keys: readonly string[]) => void) {
    this.#clock = clock;
    this.#due = due;
  }

  get size(): number {
    return this.#planned.size;
  }

  /** Plans or moves what is due under a key. Unix milliseconds. */
  at(key: string, when: number): void {
    const slot = { key, when };
    this.#planned.set(key, slot);
    push(this.#heap, slot);
    this.#arm();
  }

  cancel(key: string): void {
    if (this.#planned.delete(key)) this.#arm();
  }

  clear(): void {
    this.#planned.clear();
    this.#arm();
  }

  [Symbol.dispose](): void {
    this.clear();
  }

  #arm(): void {
    this.#dropStale();
    const first = this.#heap[0];
    if (this.#timer !== undefined && this.#timer.when === first?.when) return;
    this.#timer?.cancel();
    this.#timer = undefined;
    if (first === undefined) return;
    const wait = Math.max(0, first.when - this.#clock.now());
    this.#timer = { when: first.when, cancel: this.#clock.after(wait, () => this.#fire()) };
  }

  #fire(): void {
    this.#timer = undefined;
    const keys: string[] = [];
    for (;;) {
      this.#dropStale();
      const first = this.#heap[0];
      if (first === undefined || first.when > this.#clock.now()) break;
      pop(this.#heap);
      this.#planned.delete(first.key);
      keys.push(first.key);
    }
    if (keys.length > 0) this.#due(keys);
    this.#arm();
  }

  /** A moved key leaves its old slot behind; slots that no longer count are thrown away when they surface, or all at once. */
  #dropStale(): void {
    if (this.#heap.length > 64 && this.#heap.length > this.#planned.size * 2) {
      this.#heap = [...this.#planned.values()].sort((a, b) => a.when - b.when);
    }
    let first = this.#heap[0];
    while (first !== undefined && this.#planned.get(first.key) !== first) {
      pop(this.#heap);
      first = this.#heap[0];
    }
  }
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
