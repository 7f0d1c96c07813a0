import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createLogger } from '../../../src/log.js';
import { openAuthority } from '../../../src/server/authority/authority.js';
import { settle, until } from '../../fakes/manual-clock.js';
import { HOUR, ids, world } from './world.js';

describe('rotation by time', () => {
  test('prepares at half life, signs with the successor at five sixths, forgets the old when it has ended', async () => {
    const { deps, clock } = world();
    await using authority = await openAuthority(deps);
    const first = authority.x509.signer().id;
    await clock.pass(12 * HOUR - 1000);
    assert.equal(authority.x509.state().prepared, undefined);
    await clock.pass(1000);
    await until('both are prepared', () => authority.jwt.state().prepared !== undefined);
    const second = authority.x509.state().prepared?.id ?? '';
    assert.deepEqual(ids(authority).x509, [first, second]);
    assert.equal(authority.x509.signer().id, first);
    assert.equal(authority.bundle().sequence, 4n);

    await clock.pass(8 * HOUR);
    await until('the second signs', () => authority.jwt.state().old !== undefined);
    assert.equal(authority.x509.signer().id, second);
    assert.equal(authority.x509.state().old?.id, first);
    assert.deepEqual(ids(authority).x509, [first, second]);
    assert.equal(authority.bundle().sequence, 4n, 'activating publishes nothing new');

    await clock.pass(4 * HOUR + 60_000);
    await until('the first is forgotten', () => ids(authority).x509[0] !== first);
    assert.equal(authority.x509.state().old, undefined);
    assert.equal(ids(authority).jwt.length >= 1, true);
  });

  test('keeps one timer, set to the next moment at which something is due', async () => {
    const { deps, clock } = world();
    const authority = await openAuthority(deps);
    assert.equal(clock.timers, 1);
    await clock.pass(12 * HOUR);
    await until('prepared', () => authority.jwt.state().prepared !== undefined);
    await settle();
    assert.equal(clock.timers, 1);
    await authority[Symbol.asyncDispose]();
    assert.equal(clock.timers, 0);
  });

  test('over a week there is always a signer, and every certificate it made could be verified until its end', async () => {
    const { deps, clock } = world();
    await using authority = await openAuthority(deps);
    let last = authority.bundle().sequence;
    const seen = new Map<string, number>();
    for (let hour = 0; hour < 7 * 24; hour += 2) {
      const { id, notAfter } = authority.x509.signer();
      const published = ids(authority).x509;
      assert.ok(published.includes(id));
      for (const [old, end] of seen) if (end > clock.now() / 1000) assert.ok(published.includes(old));
      seen.set(id, notAfter);
      assert.ok(notAfter > clock.now() / 1000 + 2 * 3600);
      assert.ok(authority.bundle().sequence >= last);
      last = authority.bundle().sequence;
      await clock.pass(2 * HOUR, HOUR);
    }
    // Each lives for 24 hours and its successor is made at half of that.
    assert.ok(seen.size >= 13 && seen.size <= 15, `${seen.size} authorities in a week`);
  });

  test('a successor that cannot be made is tried again, later each time, while the old one signs on', async () => {
    const { deps, clock, store } = world();
    const lines: string[] = [];
    const logger = createLogger({ format: 'json', write: (line) => lines.push(line), clock, journal: false });
    await using authority = await openAuthority({ ...deps, logger });
    const first = authority.x509.signer().id;
    store.failAsFull(true);
    await clock.pass(12 * HOUR);
    await until('it failed', () => lines.some((line) => line.includes('rotating the authorities failed')));
    assert.equal(authority.x509.signer().id, first);
    await clock.pass(5000);
    await until('it failed again', () => lines.some((line) => line.includes('"retryInSeconds":10')));
    store.failAsFull(false);
    await clock.pass(10_000);
    await until('prepared', () => authority.x509.state().prepared !== undefined);
    assert.ok(lines.every((line) => !line.includes('PRIVATE')));
  });

  test('when no successor could be made in time, signing stops with a clear error', async () => {
    const { deps, clock, store } = world();
    await using authority = await openAuthority(deps);
    store.failAsFull(true);
    await clock.pass(24 * HOUR);
    assert.throws(() => authority.x509.signer(), {
      code: 'authority_unavailable',
      message: 'there is no X.509 authority that can sign: the active one has ended',
    });
    assert.throws(() => authority.jwt.signer(), {
      code: 'authority_unavailable',
      message: /no JWT authority/,
    });
    store.failAsFull(false);
    await clock.pass(300_000);
    await until('it signs again', () => (authority.x509.state().active?.expiresAt ?? 0) > clock.now() / 1000);
    assert.ok(authority.x509.signer());
  });
});
