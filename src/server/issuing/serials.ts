/** Serial numbers for what nodes are given, and which of them were withdrawn. */
import type { Clock } from '../../clock.js';
import { TouchmarkError } from '../../errors.js';
import type { Logger } from '../../log.js';
import type { SpiffeId } from '../../spiffe/id.js';
import type { Datastore, Write } from '../datastores/contract.js';
import { startDueTimer } from '../due-timer.js';
import type { KeyManager } from '../key-managers/contract.js';
import { deriveSerials, type SerialBlock, serialSecret, serialTexts } from './serial-blocks.js';
import { loadBlocks, pruneBlocks, pruneTime } from './serial-records.js';
import {
  draw,
  type FetchDeps,
  fetch,
  fetchAhead,
  holdsSomething,
  isEnough,
  isLow,
  newShelf,
  type Shelf,
  withdraw,
} from './serial-shelf.js';

/** An SVID that is about to be signed for a node. */
export interface SerialWant {
  /** The X.509 authority that signs. */
  readonly authority: string;
  /** Unix seconds. */
  readonly expiresAt: number;
  /** Nothing is drawn, but the node must be known to hold something until then. */
  readonly unnumbered?: boolean;
}

/** What the issuer asks for. */
export interface SerialStock {
  /**
   * Undefined while a serial number is at hand, which is nearly always: the next block is reserved ahead. Else resolves when there
   * may be one, and not before the second after a withdrawal has begun: ask again then, for somebody may have been faster. Rejects
   * with `clock_set_back` where that second is far away.
   * @param hint how many more will be wanted soon
   */
  reserve(node: SpiffeId, want: SerialWant, hint: number): Promise<void> | undefined;
  /** @throws TouchmarkError `serials_not_reserved` when `reserve` was not asked */
  draw(node: SpiffeId, want: SerialWant): Uint8Array;
  /** Unix seconds before which nothing that this node is given may begin: what it held before was withdrawn. */
  notBefore(node: SpiffeId): number;
}

export interface WithdrawnSerials {
  readonly node: SpiffeId;
  readonly authority: string;
  /** Unix milliseconds. */
  readonly withdrawn: number;
  readonly count: number;
  /** 16 bytes each, one after the other: the first `most` of them. */
  serials(most: number): Buffer;
}

export interface Withdrawn {
  /** What is to be committed for it. */
  readonly writes: readonly Write[];
  /** Unix milliseconds until when any of it lasts; 0: the node holds nothing. */
  readonly until: number;
  /** Unix milliseconds before which all of it was issued, whatever the clock did since. */
  readonly issuedBefore: number;
}

export interface Serials extends SerialStock, Disposable {
  /** The nodes that may hold something that was not withdrawn. */
  holders(): SpiffeId[];
  /**
   * Everything that the node was given until now is withdrawn in memory.
   */
  withdraw(node: SpiffeId, now: number): Withdrawn;
  /** After a start: what a node holds that was withdrawn begins no earlier. */
  setNotBefore(node: SpiffeId, issuedBefore: number): void;
  /** By block: what was withdrawn and has not ended yet. */
  withdrawn(): WithdrawnSerials[];
  /** Whether a certificate or token with this serial number, hex, was taken back. */
  isWithdrawn(serial: string): boolean;
  /** The one of these nodes for which this serial number, hex, was set aside; undefined: for none of them. */
  holderOf(serial: string, nodes: Iterable<SpiffeId>): SpiffeId | undefined;
}

export interface SerialsDeps {
  readonly store: Datastore;
  readonly keys: KeyManager;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A withdrawal holds issuing up for a second or two; for longer only where the clock was set back. */
const LONGEST_WAIT_MS = 5_000;

/**
 * Reads what earlier runs set aside. Blocks are dropped when all that came out of them has ended.
 * @throws TouchmarkError what the datastore and the key manager throw
 */
export async function openSerials(deps: SerialsDeps): Promise<Serials> {
  const { clock } = deps;
  const { secret, fresh } = await serialSecret(deps.keys);
  const shelves = new Map<SpiffeId, Shelf>();
  const denied = new Set<string>();
  const deny = (block: SerialBlock) => {
    for (const serial of serialTexts(secret, block)) denied.add(serial);
  };
  await loadBlocks(deps, fresh, (held) => {
    const shelf = shelfOf(shelves, held.block.node);
    shelf.blocks.push(held);
    shelf.next = Math.max(shelf.next, held.block.first + held.block.count);
    // Counters follow the clock: it was at least that late.
    shelf.issuedAt = Math.max(shelf.issuedAt, held.block.first);
    if (held.block.withdrawn !== 0) deny(held.block);
  });
  const forget = (block: SerialBlock) => {
    if (block.withdrawn !== 0) for (const serial of serialTexts(secret, block)) denied.delete(serial);
  };
  const timer = startDueTimer(clock, {
    next: () => nextPrune(shelves),
    run: () => pruneBlocks(deps, shelves, forget),
  });
  const fetchDeps: FetchDeps = { ...deps, secret, onBlock: ({ until }) => timer.expect(pruneTime(until)) };
  return {
    reserve(node, want, hint) {
      const shelf = shelfOf(shelves, node);
      // In the second of a withdrawal nothing is issued: certificates and tokens count in seconds, and must tell before from after.
      const early = shelf.notBefore * 1000 - clock.now();
      if (early > LONGEST_WAIT_MS) return Promise.reject(clockSetBack(node, early));
      if (early > 0) return new Promise((resolve) => clock.after(early, resolve));
      shelf.issuedAt = Math.max(shelf.issuedAt, clock.now());
      if (!isEnough(shelf, want)) return fetch(fetchDeps, shelf, want, hint);
      if (isLow(shelf, want)) fetchAhead(fetchDeps, shelf, want, hint);
      return undefined;
    },
    draw: (node, want) => draw(shelfOf(shelves, node), want),
    notBefore: (node) => shelves.get(node)?.notBefore ?? 0,
    holders: () =>
      [...shelves.values()].filter((shelf) => holdsSomething(shelf, clock.now())).map(({ node }) => node),
    withdraw(node, now) {
      const { blocks, ...withdrawn } = withdraw(shelfOf(shelves, node), now);
      blocks.forEach(deny);
      return withdrawn;
    },
    setNotBefore(node, issuedBefore) {
      const shelf = shelfOf(shelves, node);
      shelf.notBefore = Math.max(shelf.notBefore, Math.ceil(issuedBefore / 1000));
    },
    withdrawn: () => withdrawnOf(shelves, secret, clock.now()),
    isWithdrawn: (serial) => denied.has(serial),
    holderOf: (serial, nodes) => holderOf(shelves, secret, serial, nodes),
    [Symbol.dispose]: () => timer[Symbol.dispose](),
  };
}

function clockSetBack(node: SpiffeId, early: number): TouchmarkError {
  const seconds = Math.ceil(early / 1000);
  return new TouchmarkError(
    'clock_set_back',
    `${node} was withdrawn at a time that this clock shows in ${seconds} s only: the clock was set back, and nothing is issued for it until then`,
  );
}

function holderOf(
  shelves: ReadonlyMap<SpiffeId, Shelf>,
  secret: Uint8Array,
  serial: string,
  nodes: Iterable<SpiffeId>,
): SpiffeId | undefined {
  for (const node of nodes) {
    const blocks = shelves.get(node)?.blocks ?? [];
    if (blocks.some(({ block }) => serialTexts(secret, block).includes(serial))) return node;
  }
  return undefined;
}

function shelfOf(shelves: Map<SpiffeId, Shelf>, node: SpiffeId): Shelf {
  const known = shelves.get(node);
  if (known !== undefined) return known;
  const shelf = newShelf(node);
  shelves.set(node, shelf);
  return shelf;
}

/** Unix seconds at which the first block can be dropped. */
function nextPrune(shelves: ReadonlyMap<SpiffeId, Shelf>): number {
  let next = Number.POSITIVE_INFINITY;
  for (const { blocks } of shelves.values()) {
    for (const { block } of blocks) next = Math.min(next, block.until);
  }
  return pruneTime(next);
}

function withdrawnOf(
  shelves: ReadonlyMap<SpiffeId, Shelf>,
  secret: Uint8Array,
  now: number,
): WithdrawnSerials[] {
  const found: WithdrawnSerials[] = [];
  for (const { node, blocks } of shelves.values()) {
    for (const { block } of blocks) {
      const { withdrawn, authority, count, until } = block;
      if (withdrawn === 0 || until <= now) continue;
      const serials = (most: number) => deriveSerials(secret, block, Math.min(most, count));
      found.push({ node, authority, withdrawn, count, serials });
    }
  }
  return found;
}
