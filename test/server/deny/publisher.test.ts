import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { silentLogger } from '../../../src/log.js';
import { crlEntries, deniedSerials, feedSerials } from '../../../src/server/deny/content.js';
import { openDenyPublisher } from '../../../src/server/deny/publisher.js';
import type { WithdrawnSerials } from '../../../src/server/issuing/serials.js';
import type { SpiffeId } from '../../../src/spiffe/id.js';
import { writePem } from '../../../src/x509/pem.js';
import { denyWorld, domain, LIFETIME, nodeOf } from '../../fakes/deny-world.js';
import { until } from '../../fakes/manual-clock.js';

/** An SVID of node a, and a new authority since. */
async function replacedAuthority() {
  const world = denyWorld();
  const run = await world.start();
  await world.enrol('a');
  const first = run.authority.x509.signer();
  const { serial } = await run.x509(nodeOf('a'));
  await run.authority.x509.activate((await run.authority.x509.prepare()).id);
  return { world, run, first, serial };
}

describe('the deny feed and the CRLs', () => {
  test('are there from the start, empty, for every authority that signs or soon will', async () => {
    const world = denyWorld();
    const run = await world.start();
    const feed = run.feed();
    assert.deepEqual([feed.nodes, feed.serials, feed.serialsOmitted], [[], [], 0]);
    assert.equal(feed.nextUpdate - feed.thisUpdate, LIFETIME);
    assert.equal(run.crl().entries.size, 0);
    const prepared = await run.authority.x509.prepare();
    await world.clock.pass(1100);
    assert.equal(run.publisher.current().crls.length, 2);
    assert.equal(run.crl(prepared.id).entries.size, 0);
    await run.stop();
  });

  test('name what was withdrawn within a second, each serial in the list of its own authority', async () => {
    const world = denyWorld();
    const run = await world.start();
    const first = run.authority.x509.signer().id;
    await world.enrol('a');
    await world.enrol('b');
    const old = await run.x509(nodeOf('a'));
    const second = (await run.authority.x509.prepare()).id;
    await run.authority.x509.activate(second);
    const young = await run.x509(nodeOf('a'));
    const fine = await run.x509(nodeOf('b'));
    const { sequence } = run.publisher.current();
    await world.clock.pass(5000);
    const withdrawnAt = world.clock.now() / 1000;
    await world.setState('a', 'drifted');
    await world.clock.pass(1000, 50);
    await until('it is published', () => run.feed().nodes.length > 0);
    const feed = run.feed();
    assert.ok(feed.sequence > sequence);
    assert.deepEqual(feed.serials, [old.serial, young.serial].sort());
    assert.deepEqual(
      feed.nodes.map(({ id }) => id),
      [nodeOf('a')],
    );
    assert.deepEqual([...run.crl(first).entries.keys()], [old.serial]);
    assert.deepEqual([...run.crl(second).entries], [[young.serial, { revokedAt: withdrawnAt, reason: 9 }]]);
    assert.ok(!feed.serials.includes(fine.serial));
    assert.equal(run.crl().number, BigInt(feed.sequence));
    await run.stop();
  });

  test('are signed once a second at most, however many are withdrawn, and miss none of them', async () => {
    const world = denyWorld();
    const run = await world.start();
    const letters = [...'0123456789'];
    for (const letter of letters) {
      await world.enrol(letter);
      await run.x509(nodeOf(letter));
    }
    await world.clock.pass(3000);
    let published = 0;
    run.publisher.onChange(() => {
      published += 1;
    });
    for (const letter of letters) {
      await world.setState(letter, 'banned');
      await world.clock.pass(100);
    }
    await world.clock.pass(3000, 100);
    assert.ok(published <= 3, String(published));
    assert.equal(run.feed().nodes.length, 10);
    assert.equal(run.crl().entries.size, 10);
    await run.stop();
  });

  test('begin a little in the past, for checkers whose clocks are behind', async () => {
    const world = denyWorld();
    const run = await world.start();
    assert.equal(run.crl().thisUpdate, world.clock.now() / 1000 - 10);
    await run.stop();
  });

  test('are signed within a second although the clock was set back an hour', async () => {
    const world = denyWorld();
    const run = await world.start();
    await world.enrol('a');
    const svid = await run.x509(nodeOf('a'));
    const before = run.feed().sequence;
    world.clock.advance(-3_600_000);
    await world.setState('a', 'drifted');
    await world.clock.pass(1000);
    const { sequence, serials } = run.feed();
    assert.deepEqual(serials, [svid.serial]);
    assert.ok(sequence > before);
    await run.stop();
  });

  test('are signed anew at half of their life, and not while nothing happens', async () => {
    const world = denyWorld();
    const run = await world.start();
    const { sequence } = run.publisher.current();
    const writes: string[] = [];
    world.store.subscribe((commit) => writes.push(...commit.writes.map(({ kind }) => kind)));
    await world.clock.pass((LIFETIME / 2) * 1000 - 60_000, 3_600_000);
    assert.ok(!writes.includes('meta') || run.authority.x509.state().prepared !== undefined);
    await world.clock.pass(120_000, 10_000);
    assert.ok(run.feed().sequence > sequence);
    assert.ok(run.feed().thisUpdate > world.clock.now() / 1000 - 200);
    await run.stop();
  });

  test('are signed anew when they are asked for, where the timer slept with the machine', async () => {
    const world = denyWorld();
    const run = await world.start();
    const after = (ms: number, task: () => void) => (ms < 60_000 ? world.clock.after(ms, task) : () => {});
    const clock = { ...world.clock, after };
    await using publisher = await openDenyPublisher({
      ...{ ...run, store: world.store, trustDomain: domain, log: silentLogger() },
      ...{ clock, lifetime: LIFETIME },
    });
    const { sequence } = publisher.current();
    world.clock.advance(LIFETIME * 500);
    assert.equal(publisher.current().sequence, sequence, 'what is there is given at once');
    await world.clock.pass(10);
    assert.ok(publisher.current().sequence > sequence);
    await run.stop();
  });

  test('follow a new token key at once, and lose the list of a revoked authority', async () => {
    const world = denyWorld();
    const run = await world.start();
    const first = run.authority.x509.signer().id;
    await run.authority.jwt.activate((await run.authority.jwt.prepare()).id);
    await run.authority.x509.activate((await run.authority.x509.prepare()).id);
    await world.clock.pass(1100);
    const { kid } = JSON.parse(
      Buffer.from(run.publisher.current().feed.split('.')[0] ?? '', 'base64url').toString(),
    );
    assert.equal(kid, run.authority.jwt.signer().id);
    run.crl(first);
    await run.authority.x509.taint(first);
    await run.authority.x509.revoke(first);
    await world.clock.pass(1100);
    assert.deepEqual(
      run.publisher.current().crls.map(({ authorityId }) => authorityId),
      [run.authority.x509.signer().id],
    );
    await run.stop();
  });

  test('of an old authority are signed on after a restart, while the key manager keeps its key', async () => {
    const { world, run, first, serial } = await replacedAuthority();
    await run.stop();
    const again = await world.start();
    await world.setState('a', 'drifted');
    await world.clock.pass(1100);
    assert.ok(again.crl(first.id).entries.has(serial));
    await again.stop();
  });

  test('keep the last list of an old authority over a restart, when its key is gone, and go on counting', async () => {
    const { world, run, first, serial } = await replacedAuthority();
    await world.setState('a', 'drifted');
    await world.clock.pass(1100);
    const { sequence } = run.publisher.current();
    await run.stop();
    for (let n = 1; n < 9; n += 1) await world.keys.remove(`x509-${n}`);
    const again = await world.start();
    assert.ok(again.publisher.current().sequence > sequence);
    const crl = again.crl(first.id);
    assert.ok(crl.entries.has(serial));
    assert.ok(crl.nextUpdate >= first.notAfter, 'it does not run out before the authority does');
    await world.clock.pass(25 * 3_600_000, 3_600_000);
    const held = () => again.publisher.current().crls.map(({ authorityId }) => authorityId);
    await until('nothing that it signed is valid any more', () => !held().includes(first.id));
    await again.stop();
  });

  test('are refused by nobody: OpenSSL takes an SVID before and refuses it after its withdrawal', async (t) => {
    if (spawnSync('openssl', ['version']).status !== 0) return t.skip('no openssl');
    const dir = mkdtempSync(join(tmpdir(), 'deny-'));
    t.after(() => rmSync(dir, { recursive: true, force: true }));
    const world = denyWorld();
    const run = await world.start();
    await world.enrol('a');
    const { chain } = await run.x509(nodeOf('a'));
    const file = (name: string, text: string) => {
      writeFileSync(join(dir, name), text);
      return join(dir, name);
    };
    const ca = file(
      'ca.pem',
      run.authority
        .bundle()
        .x509Authorities.map(({ der }) => writePem('CERTIFICATE', der))
        .join(''),
    );
    const leaf = file('leaf.pem', writePem('CERTIFICATE', chain[0] ?? new Uint8Array()));
    const check = () => {
      const crls = run.publisher
        .current()
        .crls.map(({ der }) => writePem('X509 CRL', der))
        .join('');
      const at = String(Math.floor(world.clock.now() / 1000));
      const args = [
        'verify',
        '-attime',
        at,
        '-crl_check',
        '-CAfile',
        ca,
        '-CRLfile',
        file('crl.pem', crls),
        leaf,
      ];
      return spawnSync('openssl', args, { encoding: 'utf8' });
    };
    assert.match(check().stdout, /: OK/);
    await world.setState('a', 'quarantined');
    await world.clock.pass(1100);
    assert.match(check().stderr, /certificate revoked/);
    await run.stop();
  });
});

describe('more serials than fit', () => {
  const block = (node: string, count: number, authority = 'aa'): WithdrawnSerials => ({
    ...{ node: node as SpiffeId, authority, withdrawn: 5_000, count },
    serials: (most) => Buffer.alloc(Math.min(count, most) * 16, node.charCodeAt(0)),
  });

  test('crowd out the node that had the most of them, and are told', () => {
    const blocks = [block('flood', 900), block('small', 3), block('flood', 200), block('two', 4, 'bb')];
    const denied = deniedSerials(blocks, 100);
    assert.equal(denied.omitted, 1007);
    const serials = feedSerials(denied);
    const of = (letter: string) =>
      serials.filter((serial) => serial.startsWith(letter.charCodeAt(0).toString(16))).length;
    assert.deepEqual([serials.length, of('s'), of('t'), of('f')], [100, 3, 4, 93]);
    assert.deepEqual([crlEntries(denied, 'aa').length, crlEntries(denied, 'bb').length], [96, 4]);
    assert.deepEqual(crlEntries(denied, 'cc'), []);
    assert.equal(crlEntries(denied, 'bb')[0]?.revokedAt, 5);
  });
});
