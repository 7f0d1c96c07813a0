import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { hasCode } from '../../../src/errors.js';
import { openAuthority } from '../../../src/server/authority/authority.js';
import type { Authority } from '../../../src/server/contract.js';
import { until } from '../../fakes/manual-clock.js';
import { HOUR, heldKeys, ids, skidOf, world } from './world.js';

describe('rotation by hand', () => {
  test('prepare, activate, taint and revoke each do their part', async () => {
    const { deps, keys } = world();
    await using authority = await openAuthority(deps);
    const first = authority.x509.signer().id;
    const prepared = await authority.x509.prepare();
    assert.equal(prepared.slot, 'prepared');
    assert.deepEqual(ids(authority).x509.sort(), [first, prepared.id].sort());
    const active = await authority.x509.activate(prepared.id);
    assert.equal(active.slot, 'active');
    assert.equal(authority.x509.signer().id, prepared.id);
    assert.equal(authority.x509.state().old?.id, first);
    assert.equal(await heldKeys(keys, 'x509'), 2, 'it signs the list of what is withdrawn on');
    const { sequence } = authority.bundle();
    assert.equal((await authority.x509.taint(first)).tainted, true);
    assert.deepEqual(
      taints(authority),
      [
        [first, true],
        [prepared.id, false],
      ].sort(),
    );
    assert.equal(authority.bundle().sequence, sequence + 1n);
    assert.equal((await authority.x509.revoke(first)).id, first);
    assert.deepEqual(ids(authority).x509, [prepared.id]);
    assert.equal(authority.bundle().sequence, sequence + 2n);
    assert.equal(authority.x509.state().old, undefined);
    assert.equal(await heldKeys(keys, 'x509'), 1);
  });

  test('keys of old authorities are kept for their lists over a restart, the newest five, and destroyed at their end', async () => {
    const { deps, keys, clock } = world();
    const authority = await openAuthority(deps);
    const made: string[] = [authority.x509.signer().id];
    for (let turn = 0; turn < 7; turn += 1) {
      made.push((await authority.x509.activate((await authority.x509.prepare()).id)).id);
      await clock.pass(1000);
    }
    const held = (of: Authority) => of.x509.signers().map(({ id }) => id);
    const expected = made.slice(-6).sort();
    assert.deepEqual(held(authority).sort(), expected);
    assert.equal(await heldKeys(keys, 'x509'), 6);
    await authority[Symbol.asyncDispose]();
    await using again = await openAuthority(deps);
    assert.deepEqual(held(again).sort(), expected);
    assert.equal(ids(again).x509.length, 8, 'all are published');
    await again.x509.taint(made[5] ?? '');
    await again.x509.revoke(made[5] ?? '');
    assert.equal(await heldKeys(keys, 'x509'), 5, 'a revoked one has no list');
    await clock.pass(26 * HOUR, HOUR / 4);
    await until('the old ones have ended', () => !held(again).some((id) => made.slice(0, 7).includes(id)));
    assert.equal(await heldKeys(keys, 'x509'), held(again).length);
  });

  test('the JWT key goes the same way, and is destroyed at once', async () => {
    const { deps, keys } = world();
    await using authority = await openAuthority(deps);
    const first = authority.jwt.signer().id;
    const { id } = await authority.jwt.prepare();
    await authority.jwt.activate(id);
    assert.equal(await heldKeys(keys, 'jwt'), 1);
    await authority.jwt.taint(first);
    assert.equal(authority.bundle().jwtAuthorities.find(({ keyId }) => keyId === first)?.tainted, true);
    await authority.jwt.revoke(first);
    assert.deepEqual(ids(authority).jwt, [id]);
  });

  test('preparing twice leaves one prepared, and the unused one is published no more', async () => {
    const { deps, keys } = world();
    await using authority = await openAuthority(deps);
    const unused = await authority.x509.prepare();
    const second = await authority.x509.prepare();
    assert.equal(authority.x509.state().prepared?.id, second.id);
    assert.ok(!ids(authority).x509.includes(unused.id));
    assert.equal(await heldKeys(keys, 'x509'), 2);
  });

  test('each change calls the listeners, and the bundle is the same object until it changes', async () => {
    const { deps } = world();
    await using authority = await openAuthority(deps);
    let calls = 0;
    const stop = authority.onChange(() => {
      calls += 1;
    });
    const bundle = authority.bundle();
    assert.equal(authority.bundle(), bundle);
    const { id } = await authority.x509.prepare();
    assert.equal(calls, 1);
    const prepared = authority.bundle();
    assert.notEqual(prepared, bundle);
    await authority.x509.activate(id);
    assert.equal(calls, 2);
    assert.equal(authority.bundle(), prepared);
    stop();
    await authority.x509.prepare();
    assert.equal(calls, 2);
  });

  test('changes at the same time run one after the other', async () => {
    const { deps } = world();
    await using authority = await openAuthority(deps);
    const { sequence } = authority.bundle();
    await Promise.all([authority.x509.prepare(), authority.jwt.prepare(), authority.x509.prepare()]);
    assert.equal(authority.bundle().sequence, sequence + 3n);
  });

  test('a change that cannot be stored changes nothing', async () => {
    const { deps, store, keys } = world();
    await using authority = await openAuthority(deps);
    const bundle = authority.bundle();
    store.failAsFull(true);
    await assert.rejects(authority.x509.prepare(), (error) => hasCode(error, 'datastore_full'));
    assert.equal(authority.bundle(), bundle);
    store.failAsFull(false);
    await authority.x509.prepare();
    assert.equal(await heldKeys(keys, 'x509'), 2);
  });
});

function taints(authority: Authority): [string, boolean][] {
  const pairs = authority
    .bundle()
    .x509Authorities.map(({ der, tainted }): [string, boolean] => [skidOf(der), tainted]);
  return pairs.sort();
}
