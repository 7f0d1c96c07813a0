/** The counters of one node: what is set aside for it, what is being used, what was withdrawn. */
import type { Clock } from '../../clock.js';
import { messageOf, TouchmarkError } from '../../errors.js';
import type { Logger } from '../../log.js';
import type { SpiffeId } from '../../spiffe/id.js';
import type { Datastore, Write } from '../datastores/contract.js';
import {
  blockKey,
  deriveSerials,
  dropBlock,
  putBlock,
  SERIAL_BYTES,
  type SerialBlock,
} from './serial-blocks.js';
import type { SerialWant } from './serials.js';

export const serialLimits = {
  /** Counters of a block: doubled while a node uses them up at once, halved while it does not. */
  smallestBlock: 32,
  largestBlock: 1024,
  /** A block that is used up within this time is too small. */
  busyMs: 60_000,
  /** A block outlasts the SVID that it was reserved for by that SVID's own life, or at least this much. */
  leastSlackSeconds: 1800,
} as const;

/** A block in memory; of one from an earlier run nobody knows how much was used, so it counts as used up. */
export interface HeldBlock {
  block: SerialBlock;
  drawn: number;
}

interface OpenBlock {
  readonly held: HeldBlock;
  readonly serials: Buffer;
  readonly openedAt: number;
}

export interface Shelf {
  readonly node: SpiffeId;
  blocks: HeldBlock[];
  /** Drawn from, then the spare one. */
  open: OpenBlock | undefined;
  spare: OpenBlock | undefined;
  fetching: Promise<void> | undefined;
  size: number;
  /** The next counter that was never set aside. */
  next: number;
  /** Unix seconds. */
  notBefore: number;
  /** Unix milliseconds of the newest leave to issue something: later than now where the clock was set back since. */
  issuedAt: number;
}

export interface FetchDeps {
  readonly store: Datastore;
  readonly clock: Clock;
  readonly log: Logger;
  readonly secret: Uint8Array;
  readonly onBlock: (block: SerialBlock) => void;
}

export function newShelf(node: SpiffeId): Shelf {
  const { smallestBlock: size } = serialLimits;
  return {
    node,
    blocks: [],
    open: undefined,
    spare: undefined,
    fetching: undefined,
    size,
    next: 0,
    notBefore: 0,
    issuedAt: 0,
  };
}

export function isEnough(shelf: Shelf, want: SerialWant): boolean {
  if (want.unnumbered === true) return shelf.blocks.some(({ block }) => coversTime(block, want));
  return usable(shelf.open, want) || usable(shelf.spare, want);
}

/** Whether the next block should be under way. */
export function isLow({ open, spare }: Shelf, want: SerialWant): boolean {
  if (open === undefined || spare !== undefined || want.unnumbered === true) return false;
  return (open.held.block.count - open.held.drawn) * 4 < open.held.block.count;
}

/** @throws TouchmarkError `serials_not_reserved` */
export function draw(shelf: Shelf, want: SerialWant): Uint8Array {
  if (!usable(shelf.open, want) && usable(shelf.spare, want)) {
    shelf.open = shelf.spare;
    shelf.spare = undefined;
  }
  const { open } = shelf;
  if (open === undefined || !usable(open, want)) {
    throw new TouchmarkError('serials_not_reserved', `no serial number was set aside for ${shelf.node}`);
  }
  const at = open.held.drawn * SERIAL_BYTES;
  open.held.drawn += 1;
  return open.serials.subarray(at, at + SERIAL_BYTES);
}

function usable(open: OpenBlock | undefined, want: SerialWant): boolean {
  if (open === undefined || open.held.drawn >= open.held.block.count) return false;
  return open.held.block.authority === want.authority && coversTime(open.held.block, want);
}

function coversTime({ until, withdrawn }: SerialBlock, { expiresAt }: SerialWant): boolean {
  return withdrawn === 0 && until >= expiresAt * 1000;
}

/** One at a time for each node. */
export function fetch(deps: FetchDeps, shelf: Shelf, want: SerialWant, hint: number): Promise<void> {
  shelf.fetching ??= fetchBlock(deps, shelf, want, hint).finally(() => {
    shelf.fetching = undefined;
  });
  return shelf.fetching;
}

/** What fails now fails again, and is told, when the block is needed. */
export function fetchAhead(deps: FetchDeps, shelf: Shelf, want: SerialWant, hint: number): void {
  if (shelf.fetching !== undefined) return;
  fetch(deps, shelf, want, hint).catch((error: unknown) => {
    deps.log.warn('serial numbers could not be set aside yet', { node: shelf.node, error: messageOf(error) });
  });
}

async function fetchBlock(deps: FetchDeps, shelf: Shelf, want: SerialWant, hint: number): Promise<void> {
  const now = deps.clock.now();
  adaptSize(shelf, now);
  const count = Math.min(Math.max(shelf.size, hint), serialLimits.largestBlock);
  // Counters follow the clock, so that none comes twice after blocks and what was known of them have been dropped.
  const first = Math.max(now, shelf.next);
  shelf.next = first + count;
  const slack = Math.max(want.expiresAt - Math.floor(now / 1000), serialLimits.leastSlackSeconds);
  const until = (want.expiresAt + slack) * 1000;
  const block: SerialBlock = {
    node: shelf.node,
    authority: want.authority,
    first,
    count,
    until,
    withdrawn: 0,
  };
  const absent = { kind: 'serial_block', key: blockKey(block), revision: 0 } as const;
  await deps.store.commit([putBlock(block)], [absent]);
  const held: HeldBlock = { block, drawn: 0 };
  shelf.blocks.push(held);
  const open: OpenBlock = { held, serials: deriveSerials(deps.secret, block), openedAt: now };
  if (usable(shelf.open, want)) shelf.spare = open;
  else shelf.open = open;
  deps.onBlock(block);
}

function adaptSize(shelf: Shelf, now: number): void {
  const { open } = shelf;
  if (open === undefined) return;
  const { drawn, block } = open.held;
  const { smallestBlock, largestBlock, busyMs } = serialLimits;
  const mostlyUsed = drawn * 4 >= block.count * 3;
  if (mostlyUsed && now - open.openedAt < busyMs) shelf.size = Math.min(shelf.size * 2, largestBlock);
  else if (drawn * 4 < block.count) shelf.size = Math.max(Math.floor(shelf.size / 2), smallestBlock);
}

export function holdsSomething({ blocks }: Shelf, now: number): boolean {
  return blocks.some(({ block }) => block.withdrawn === 0 && block.until > now);
}

/** Blocks are cut to what was used of them; one that is under way just now is not of what was given out. */
export function withdraw(
  shelf: Shelf,
  now: number,
): { writes: Write[]; blocks: SerialBlock[]; until: number; issuedBefore: number } {
  const writes: Write[] = [];
  const blocks: SerialBlock[] = [];
  let latest = 0;
  for (const held of shelf.blocks) {
    const { block, drawn } = held;
    if (block.withdrawn !== 0 || block.until <= now) continue;
    latest = Math.max(latest, block.until);
    held.block = { ...block, count: drawn, withdrawn: now };
    blocks.push(held.block);
    writes.push(drawn === 0 ? dropBlock(block) : putBlock(held.block));
  }
  shelf.blocks = shelf.blocks.filter(({ block }) => block.count > 0);
  shelf.open = undefined;
  shelf.spare = undefined;
  // What was issued before the clock was set back says a later time, and is covered all the same.
  const last = shelf.issuedAt > now ? shelf.issuedAt + 1000 : now;
  if (latest > 0) shelf.notBefore = Math.max(shelf.notBefore, Math.ceil(last / 1000));
  return { writes, blocks, until: latest, issuedBefore: last };
}
