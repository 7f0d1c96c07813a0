/** Who asked for a change: known where a call is answered, and needed where it is committed, far below. */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Caller } from '../access/caller.js';

interface Actor {
  readonly by: string;
  /** What a call left running behind it (timers, lanes) is the server's own doing. */
  over: boolean;
}

const SERVER = 'server';
const context = new AsyncLocalStorage<Actor | undefined>();

/** Who asked for what runs now; `server` for what nobody asked for. */
export function currentActor(): string {
  const actor = context.getStore();
  return actor === undefined || actor.over ? SERVER : actor.by;
}

/** Whatever `task` does until it settles is done for the caller. */
export async function actingFor<T>(caller: Caller, task: () => Promise<T>): Promise<T> {
  const actor: Actor = { by: describeActor(caller), over: false };
  try {
    return await context.run(actor, task);
  } finally {
    actor.over = true;
  }
}

/** The same for a stream: each of its items is made for the caller. */
export async function* streamingFor<T>(caller: Caller, open: () => AsyncIterable<T>): AsyncGenerator<T> {
  const actor: Actor = { by: describeActor(caller), over: false };
  const iterator = context.run(actor, () => open()[Symbol.asyncIterator]());
  try {
    for (;;) {
      const item = await context.run(actor, () => iterator.next());
      if (item.done === true) return;
      yield item.value;
    }
  } finally {
    actor.over = true;
    await iterator.return?.();
  }
}

/** What commits set in motion is done by the server, whoever made the commit. */
export function actingAsServer<T>(task: () => T): T {
  return context.run(undefined, task);
}

export function describeActor(caller: Caller): string {
  if (caller.via === 'unix') return `uid ${caller.uid}`;
  return caller.svid?.id ?? `address ${caller.address}`;
}
