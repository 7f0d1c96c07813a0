import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { silentLogger } from '../../../src/log.js';
import { deriveSerials, type SerialBlock } from '../../../src/server/issuing/serial-blocks.js';
import { serialLimits } from '../../../src/server/issuing/serial-shelf.js';
import { openSerials, type Serials, type SerialWant } from '../../../src/server/issuing/serials.js';
import { memoryKeyManager } from '../../../src/server/key-managers/memory.js';
import { parseSpiffeId } from '../../../src/spiffe/id.js';
import { manualClock, settle } from '../../fakes/manual-clock.js';
import { memoryDatastore } from '../../fakes/memory-datastore.js';
import { rejectsCode } from '../../support/rejects-async.js';

const node = parseSpiffeId('spiffe://example.org/spire/agent/tpm/01');
const other = parseSpiffeId('spiffe://example.org/spire/agent/tpm/02');

const HOUR = 3_600_000;

function world() {
  const clock = manualClock();
  const parts = { store: memoryDatastore(), keys: memoryKeyManager(), clock, log: silentLogger() };
  const seconds = () => clock.now() / 1000;
  const want = (life = 3600, authority = 'aa'): SerialWant => ({ authority, expiresAt: seconds() + life });
  return { ...parts, want, open: () => openSerials(parts), blocks: () => parts.store.list('serial_block') };
}

/** As the API does it. */
async function take(serials: Serials, want: SerialWant, of = node): Promise<string> {
  for (let wait = serials.reserve(of, want, 1); wait; wait = serials.reserve(of, want, 1)) await wait;
  return Buffer.from(serials.draw(of, want)).toString('hex');
}

async function takeMany(serials: Serials, want: SerialWant, count: number, of = node): Promise<string[]> {
  const taken: string[] = [];
  for (let i = 0; i < count; i += 1) taken.push(await take(serials, want, of));
  return taken;
}

const listed = (serials: Serials) =>
  serials.withdrawn().flatMap((block) => block.serials(block.count).toString('hex').match(/.{32}/g) ?? []);

describe('serial numbers of nodes', () => {
  test('are positive, of 16 bytes, never the same and not to be told from random ones', async () => {
    const { open, want } = world();
    const serials = await open();
    const taken = [
      ...(await takeMany(serials, want(), 2000)),
      ...(await takeMany(serials, want(), 500, other)),
      ...(await takeMany(serials, want(3600, 'bb'), 500)),
    ];
    assert.equal(new Set(taken).size, 3000);
    assert.ok(taken.every((serial) => /^[4-7][0-9a-f]{31}$/.test(serial)));
    const ones = taken
      .flatMap((serial) => [...BigInt(`0x${serial}`).toString(2)])
      .filter((bit) => bit === '1');
    assert.ok(Math.abs(ones.length / (3000 * 127) - 0.5) < 0.01, 'half of the bits are set');
  });

  test('depend on the secret, the node, the authority and the counter', () => {
    const block: SerialBlock = { node, authority: 'aa', first: 7, count: 4, until: 1, withdrawn: 0 };
    const secret = Buffer.alloc(32, 1);
    const made = deriveSerials(secret, block).toString('hex');
    assert.equal(
      deriveSerials(secret, { ...block, count: 9, until: 5, withdrawn: 3 }, 4).toString('hex'),
      made,
    );
    for (const change of [{ node: other }, { authority: 'ab' }, { first: 8 }]) {
      assert.notEqual(deriveSerials(secret, { ...block, ...change }).toString('hex'), made);
    }
    assert.notEqual(deriveSerials(Buffer.alloc(32, 2), block).toString('hex'), made);
  });

  test('are set aside durably before the first is used, and ahead of need', async () => {
    const { open, want, blocks, store } = world();
    const serials = await open();
    assert.throws(() => serials.draw(node, want()), {
      code: 'serials_not_reserved',
      message: `no serial number was set aside for ${node}`,
    });
    const waits = serials.reserve(node, want(), 1);
    assert.ok(waits instanceof Promise);
    await waits;
    assert.equal((await blocks()).length, 1);
    let commits = 0;
    store.subscribe(() => {
      commits += 1;
    });
    let waited = 0;
    for (let i = 0; i < 1000; i += 1) {
      const wait = serials.reserve(node, want(), 1);
      if (wait !== undefined) waited += 1;
      await wait;
      serials.draw(node, want());
      await Promise.resolve();
      if (i % 8 === 0) await settle();
    }
    assert.equal(waited, 0, 'the next block is there when the last one is used up');
    assert.ok(commits > 1 && commits < 12, `blocks grow while they are used up at once: ${commits}`);
  });

  test('a block as large as what is wanted at once is asked for, and none beyond the bound', async () => {
    const { open, want, blocks } = world();
    const serials = await open();
    await serials.reserve(node, want(), 500);
    await serials.reserve(other, want(), 100_000);
    assert.deepEqual(
      (await blocks()).map(({ value }) => value.count),
      [500, serialLimits.largestBlock],
    );
  });

  test('several callers at once never get the same, and share what is reserved', async () => {
    const { open, want, blocks } = world();
    const serials = await open();
    const taken = await Promise.all(Array.from({ length: 200 }, () => take(serials, want())));
    assert.equal(new Set(taken).size, 200);
    assert.ok((await blocks()).length <= 6);
  });

  test('a new authority, or an SVID that outlasts the block, takes a new block', async () => {
    const { open, want, blocks, clock } = world();
    const serials = await open();
    await take(serials, want());
    await take(serials, want(3600, 'bb'));
    await take(serials, want(86_400, 'bb'));
    const values = (await blocks()).map(({ value }) => value);
    assert.deepEqual(
      values.map(({ authority }) => authority),
      ['aa', 'bb', 'bb'],
    );
    const lives = values.map(({ until }) => (until - clock.now()) / 1000);
    assert.deepEqual(lives, [7200, 7200, 172_800], 'twice the life of the first SVID');
  });

  test('a full disk stops issuing only when what was set aside is used up', async () => {
    const { open, want, store } = world();
    const serials = await open();
    await take(serials, want());
    store.failAsFull(true);
    await takeMany(serials, want(), serialLimits.smallestBlock - 1);
    await assert.rejects(take(serials, want()), { code: 'datastore_full' });
    store.failAsFull(false);
    await take(serials, want());
  });
});

describe('withdrawn serial numbers', () => {
  test('are exactly those that were drawn', async () => {
    const { open, want, clock } = world();
    const serials = await open();
    const bad = [...(await takeMany(serials, want(), 40)), ...(await takeMany(serials, want(60, 'bb'), 3))];
    await take(serials, want(), other);
    const { until } = serials.withdraw(node, clock.now());
    assert.equal(until, clock.now() + 7200_000);
    assert.deepEqual(listed(serials).sort(), bad.sort());
    assert.deepEqual(serials.holders(), [other]);
    assert.equal(serials.notBefore(node), clock.now() / 1000);
    const after = await takeMany(serials, want(), 5);
    assert.ok(
      after.every((serial) => !listed(serials).includes(serial)),
      'what comes later is good',
    );
    const nothing = serials.withdraw(parseSpiffeId(`${node}x`), clock.now());
    assert.deepEqual([nothing.writes, nothing.until], [[], 0]);
  });

  test('are known one by one: whose they are, and whether they were withdrawn', async () => {
    const { open, want, store, clock } = world();
    const serials = await open();
    const [mine = '', later = ''] = await takeMany(serials, want(), 2);
    const [theirs = ''] = await takeMany(serials, want(), 1, other);
    assert.deepEqual(
      [mine, theirs, '40'.repeat(16)].map((serial) => serials.holderOf(serial, [other, node])),
      [node, other, undefined],
    );
    assert.equal(serials.holderOf(mine, [other]), undefined, 'only among those that are asked about');
    const { writes } = serials.withdraw(node, clock.now());
    const withdrawn = (of: Serials) => [mine, later, theirs].map((serial) => of.isWithdrawn(serial));
    assert.deepEqual(withdrawn(serials), [true, true, false]);
    assert.equal(serials.holderOf(mine, [node]), node, 'it is still theirs');
    await store.commit([...writes]);
    const again = await open();
    assert.deepEqual(withdrawn(again), [true, true, false], 'after a start, too');
    clock.advance(3 * 3600_000);
    await settle();
    assert.deepEqual(withdrawn(again), [false, false, false], 'what has ended is forgotten');
  });

  test('are all found again after a crash, for nobody knows which of a block were used', async () => {
    const { open, want, clock, store } = world();
    const first = await open();
    const bad = await takeMany(first, want(), 5);
    const again = await open();
    assert.deepEqual(again.holders(), [node]);
    const { writes } = again.withdraw(node, clock.now());
    const all = listed(again);
    assert.equal(all.length, serialLimits.smallestBlock);
    assert.ok(bad.every((serial) => all.includes(serial)));
    await store.commit(writes);
    const third = await open();
    assert.deepEqual(listed(third).sort(), all.sort(), 'and stay withdrawn');
    assert.deepEqual(third.holders(), []);
    const later = await take(third, want());
    assert.ok(!all.includes(later), 'no number comes twice');
  });

  test('a token without a number counts as something that the node holds', async () => {
    const { open, want, clock, blocks } = world();
    const serials = await open();
    const unnumbered = { ...want(300), unnumbered: true };
    await serials.reserve(node, unnumbered, 1);
    assert.equal(serials.reserve(node, unnumbered, 1), undefined);
    assert.equal((await blocks()).length, 1);
    const { until, writes } = serials.withdraw(node, clock.now());
    assert.equal(until, clock.now() + (300 + serialLimits.leastSlackSeconds) * 1000);
    assert.deepEqual(
      writes.map((write) => 'deleted' in write),
      [true],
      'its block has no numbers to list',
    );
    assert.ok(serials.reserve(node, unnumbered, 1) instanceof Promise);
  });

  test('are forgotten when every SVID out of their block has ended', async () => {
    const { open, want, clock, blocks } = world();
    const serials = await open();
    await takeMany(serials, want(), 3);
    serials.withdraw(node, clock.now());
    clock.advance(7100_000);
    assert.equal(listed(serials).length, 3);
    await clock.pass(800_000);
    assert.equal(listed(serials).length, 0);
    assert.deepEqual(await blocks(), []);
  });

  test('are given out again only when the second of the withdrawal is over', async () => {
    const { open, want, clock } = world();
    const serials = await open();
    await take(serials, want());
    clock.advance(300);
    serials.withdraw(node, clock.now());
    let taken = '';
    void take(serials, want()).then((serial) => {
      taken = serial;
    });
    await clock.pass(600);
    assert.equal(taken, '');
    await clock.pass(200);
    assert.match(taken, /^[0-9a-f]{32}$/);
    assert.equal(clock.now() / 1000 >= serials.notBefore(node), true);
  });

  test('are refused with a reason, not waited for, when the clock was set back behind the withdrawal', async () => {
    const { open, want, clock } = world();
    const serials = await open();
    await take(serials, want());
    const issued = clock.now();
    clock.advance(-HOUR);
    const { issuedBefore } = serials.withdraw(node, clock.now());
    assert.equal(issuedBefore, issued + 1000, 'what was issued before the clock was set back is covered');
    await rejectsCode('clock_set_back', /in 3601 s only: the clock was set back/, take(serials, want()));
    clock.advance(HOUR + 1000);
    await take(serials, want());
    clock.advance(-HOUR);
    serials.setNotBefore(node, clock.now());
    assert.equal(serials.notBefore(node), Math.ceil(issuedBefore / 1000), 'it never falls');
  });

  test('of a key that is gone mean nothing and are dropped', async () => {
    const { open, want, blocks, store, clock, log } = world();
    await take(await open(), want());
    const other = await openSerials({ store, clock, log, keys: memoryKeyManager() });
    assert.deepEqual(other.holders(), []);
    assert.deepEqual(await blocks(), []);
  });
});
