/** Writes the newest quotes of hosts whose evidence changed nothing: one batch now and then, and one at the end. */
import { messageOf } from '../../errors.js';
import type { Condition, Write } from '../datastores/contract.js';
import { measureTimes } from './limits.js';
import { quoteRecord } from './record.js';
import type { Room, UnwrittenQuotes } from './room.js';

const LARGEST_BATCH = 500;

export interface QuoteFlush extends UnwrittenQuotes, AsyncDisposable {
  flush(): Promise<void>;
}

/** Hosts whose newest quote is not in their record yet; a timer runs only while there are some. */
export function quoteFlush(room: Omit<Room, 'unwritten'>): QuoteFlush {
  const waiting = new Set<string>();
  let cancel: (() => void) | undefined;
  let over = false;
  const plan = () => {
    if (over) return;
    cancel ??= room.clock.after(measureTimes.flushMs, () => {
      cancel = undefined;
      void flush();
    });
  };
  const flush = async () => {
    const hostIds = [...waiting];
    waiting.clear();
    for (let at = 0; at < hostIds.length; at += LARGEST_BATCH) {
      const some = hostIds.slice(at, at + LARGEST_BATCH);
      if (await written(room, some)) continue;
      for (const hostId of some) waiting.add(hostId);
      plan();
    }
  };
  return {
    add(hostId) {
      waiting.add(hostId);
      plan();
    },
    delete: (hostId) => void waiting.delete(hostId),
    flush,
    async [Symbol.asyncDispose]() {
      over = true;
      cancel?.();
      await flush();
    },
  };
}

/** What is changed by somebody else at this moment is written the next time. */
async function written(room: Omit<Room, 'unwritten'>, hostIds: readonly string[]): Promise<boolean> {
  try {
    await writeQuotes(room, hostIds);
    return true;
  } catch (error) {
    const fields = { count: hostIds.length, error: messageOf(error) };
    room.log.debug('the newest quotes are written later', fields);
    return false;
  }
}

async function writeQuotes(room: Omit<Room, 'unwritten'>, hostIds: readonly string[]): Promise<void> {
  const writes: Write[] = [];
  const conditions: Condition[] = [];
  for (const hostId of hostIds) {
    const known = room.memory.get(hostId);
    const stored = await room.store.get('host', hostId);
    if (known === undefined || stored === undefined || known.akName !== stored.value.akName) continue;
    const at = room.hearing.at(hostId) || known.record.at;
    writes.push({
      kind: 'host',
      key: hostId,
      value: { ...stored.value, lastQuote: quoteRecord(known, at) },
    });
    conditions.push({ kind: 'host', key: hostId, revision: stored.revision });
  }
  if (writes.length > 0) await room.store.commit(writes, conditions);
}
