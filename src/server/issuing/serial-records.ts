import { messageOf } from '../../errors.js';
import type { SpiffeId } from '../../spiffe/id.js';
import type { Write } from '../datastores/contract.js';
import { blockOf, dropBlock, type SerialBlock } from './serial-blocks.js';
import type { HeldBlock, Shelf } from './serial-shelf.js';
import type { SerialsDeps } from './serials.js';

const PAGE = 2000;
const MOST_AT_ONCE = 500;
/** Blocks are dropped in company: once in ten minutes at most. */
const PRUNE_EVERY_SECONDS = 600;

/** Hands over every block that still matters. @param forget drops all of them instead: their key is gone */
export async function loadBlocks(
  { store, clock }: SerialsDeps,
  forget: boolean,
  take: (held: HeldBlock) => void,
): Promise<void> {
  const now = clock.now();
  const drop: Write[] = [];
  for (let after: string | undefined = ''; after !== undefined; ) {
    const page: Awaited<ReturnType<typeof store.list<'serial_block'>>> = await store.list('serial_block', {
      after,
      limit: PAGE,
    });
    for (const { key, value } of page) {
      const block = blockOf(key, value);
      if (forget || block.until <= now) drop.push(dropBlock(block));
      else take({ block, drawn: block.count });
    }
    after = page.length < PAGE ? undefined : page.at(-1)?.key;
  }
  await commitInParts(store, drop);
}

/** Unix seconds at which a block that ends at this Unix millisecond is dropped. */
export function pruneTime(until: number): number {
  if (!Number.isFinite(until)) return until;
  return Math.ceil(until / 1000 / PRUNE_EVERY_SECONDS) * PRUNE_EVERY_SECONDS;
}

/** Of what has ended nobody asks any more. @returns whether the records are gone */
export async function pruneBlocks(
  { store, clock, log }: SerialsDeps,
  shelves: Map<SpiffeId, Shelf>,
  onDropped: (block: SerialBlock) => void,
): Promise<boolean> {
  const now = clock.now();
  const drop: Write[] = [];
  for (const { blocks } of shelves.values()) {
    for (const { block } of blocks) if (block.until <= now) drop.push(dropBlock(block));
  }
  try {
    await commitInParts(store, drop);
  } catch (error) {
    log.error('serial numbers that have ended could not be dropped', { error: messageOf(error) });
    return false;
  }
  for (const [node, shelf] of shelves) {
    for (const { block } of shelf.blocks) if (block.until <= now) onDropped(block);
    shelf.blocks = shelf.blocks.filter(({ block }) => block.until > now);
    const idle = shelf.blocks.length === 0 && shelf.fetching === undefined;
    if (idle && shelf.notBefore * 1000 <= now && shelf.next <= now) shelves.delete(node);
  }
  return true;
}

async function commitInParts(store: SerialsDeps['store'], writes: readonly Write[]): Promise<void> {
  for (let from = 0; from < writes.length; from += MOST_AT_ONCE) {
    await store.commit(writes.slice(from, from + MOST_AT_ONCE));
  }
}
