import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { describe, test } from 'node:test';
import { systemClock } from '../../../src/clock.js';
import { TouchmarkError } from '../../../src/errors.js';
import { makeSpiffeId } from '../../../src/spiffe/id.js';
import type { X509SVIDResponse } from '../../../src/wire/gen/spiffe/workload_pb.js';
import { splitDer } from '../../../src/x509/der.js';
import { fakeIdentityStore } from '../../fakes/identity-store.js';
import { settle, until } from '../../fakes/manual-clock.js';
import { signingAuthority } from '../../fakes/signing-authority.js';
import { entryDomain, entryOf } from '../../support/entries.js';
import { foreign, header, mine, reader, serveForTest } from './support.js';

const idsOf = ({ svids }: X509SVIDResponse) => svids.map(({ spiffeId }) => spiffeId);
const named = (id: string, path: string, more: Parameters<typeof entryOf>[2] = {}) =>
  entryOf(id, [mine], { spiffeId: makeSpiffeId(entryDomain, path), ...more });

describe('a stream of X.509-SVIDs', () => {
  test('WA-06 each new stream gets its first message at once, also when nothing has changed', async (t) => {
    const { api, store } = await serveForTest(t);
    store.serve();
    store.put(named('a', '/web'));
    for (let round = 0; round < 5; round++) {
      const started = performance.now();
      const stream = reader(api.fetchX509SVID({}, header));
      await stream.next();
      assert.ok(performance.now() - started < 1_000);
      await stream.leave();
    }
  });

  test('WA-05 WA-07 an entry that comes or goes and one that rotates give whole messages', async (t) => {
    const { api, store } = await serveForTest(t);
    store.serve();
    store.put(named('a', '/a'), named('b', '/b', { x509SvidTtl: 2 }));
    const stream = reader(api.fetchX509SVID({}, header));
    const first = await stream.next();
    assert.equal(first.svids.length, 2);
    store.put(named('c', '/c'));
    assert.equal((await stream.next()).svids.length, 3);
    const rotated = await stream.next();
    assert.equal(rotated.svids.length, 3);
    assert.deepEqual(rotated.svids[0]?.x509Svid, first.svids[0]?.x509Svid);
    assert.notDeepEqual(rotated.svids[1]?.x509Svid, first.svids[1]?.x509Svid);
    store.remove('b');
    assert.deepEqual(idsOf(await stream.next()), ['spiffe://example.org/a', 'spiffe://example.org/c']);
  });

  test('WA-07 nothing is said when nothing that it shows has changed', async (t) => {
    const { api, store } = await serveForTest(t);
    store.serve();
    store.put(named('a', '/a'));
    const stream = reader(api.fetchX509SVID({}, header));
    await stream.next();
    store.put(entryOf('z', [foreign]));
    store.setStatus({ connected: false });
    store.setStatus({ connected: true });
    store.publish([signingAuthority(systemClock, 'other.test').bundle()]);
    store.publish();
    store.put(named('a', '/a', { jwtSvidTtl: 77, revisionNumber: 1 }));
    store.remove('z');
    // The entry was changed: its SVID is signed anew, and that is all.
    const next = await stream.next();
    assert.deepEqual(idsOf(next), ['spiffe://example.org/a']);
    assert.ok(await stream.silent());
  });

  test('WX-06 WA-07 a new authority is told, and with it the old one', async (t) => {
    const { api, store } = await serveForTest(t);
    store.serve();
    store.put(named('a', '/a'));
    const stream = reader(api.fetchX509SVID({}, header));
    await stream.next();
    store.authority.rotate();
    store.publish();
    const { svids } = await stream.next();
    assert.equal(splitDer(svids[0]?.bundle ?? new Uint8Array()).length, 2);
  });

  test('WA-15 WX-11 it ends with PermissionDenied when the last entry goes', async (t) => {
    const { api, store } = await serveForTest(t);
    store.serve();
    store.put(named('a', '/a'), named('b', '/b'));
    const stream = reader(api.fetchX509SVID({}, header));
    await stream.next();
    store.remove('a');
    await stream.next();
    store.remove('b');
    const { rpc, code, message } = await stream.end();
    assert.deepEqual([rpc, code], ['PERMISSION_DENIED', 'no_identity']);
    assert.match(message, /no identity issued/);
    store.put(named('a', '/a'));
    assert.equal((await reader(api.fetchX509SVID({}, header)).next()).svids.length, 1);
  });

  test('WA-15 it ends with PermissionDenied when the host’s identities are withdrawn', async (t) => {
    const { api, store } = await serveForTest(t);
    store.serve();
    store.put(named('a', '/a'));
    const streams = [
      api.fetchX509SVID({}, header),
      api.fetchX509Bundles({}, header),
      api.fetchJWTBundles({}, header),
    ];
    const readers = streams.map((stream) => reader<unknown>(stream));
    for (const one of readers) await one.next();
    store.withdraw('drifted', []);
    for (const one of readers) {
      const { rpc, code } = await one.end();
      assert.deepEqual([rpc, code], ['PERMISSION_DENIED', 'identities_withdrawn']);
    }
  });

  test('DF-02 streams end with Unavailable when the agent stops, never with OK', async (t) => {
    const served = await serveForTest(t);
    served.store.serve();
    served.store.put(named('a', '/a'));
    const stream = reader(served.api.fetchX509SVID({}, header));
    await stream.next();
    void served.stop();
    const { rpc, message } = await stream.end();
    assert.equal(rpc, 'UNAVAILABLE');
    assert.match(message, /stopping/);
  });

  test('an SVID that cannot be signed does not hold back those that are there, and follows when it can', async (t) => {
    const store = fakeIdentityStore();
    const { api } = await serveForTest(t, { store });
    store.serve();
    store.put(named('a', '/a'));
    const stream = reader(api.fetchX509SVID({}, header));
    await stream.next();
    let release = () => {};
    store.server.hold = new Promise((resolve) => {
      release = resolve;
    });
    store.put(named('b', '/b'));
    await settle();
    const partial = await reader(api.fetchX509SVID({}, header)).next();
    assert.deepEqual(idsOf(partial), ['spiffe://example.org/a']);
    store.authority.rotate();
    store.publish();
    const rotated = await stream.next();
    assert.equal(splitDer(rotated.svids[0]?.bundle ?? new Uint8Array()).length, 2);
    release();
    await until('both are told', () => store.x509('b') !== undefined);
    assert.equal((await stream.next()).svids.length, 2);
  });

  test('with nothing held and no server the answer is Unavailable, not a refusal', async (t) => {
    const { api, store } = await serveForTest(t);
    store.serve();
    store.server.fail = new TouchmarkError('server_away', 'the server is away');
    store.put(named('a', '/a'));
    const { rpc, code, message } = await reader(api.fetchX509SVID({}, header)).end();
    assert.deepEqual([rpc, code], ['UNAVAILABLE', 'svid_unavailable']);
    assert.match(message, /the server cannot be reached to sign$/);
  });

  test('an entry that is taken away while its SVID is signed is not delivered', async (t) => {
    const { api, store } = await serveForTest(t);
    store.serve();
    let release = () => {};
    store.server.hold = new Promise((resolve) => {
      release = resolve;
    });
    store.put(named('a', '/a'));
    const stream = reader(api.fetchX509SVID({}, header));
    assert.ok(await stream.silent(50));
    store.put(entryOf('a', [foreign], { revisionNumber: 1 }));
    release();
    const { rpc, code } = await stream.end();
    assert.deepEqual([rpc, code], ['PERMISSION_DENIED', 'no_identity']);
  });

  test('WA-19 a thousand streams that were opened and cancelled leave nothing behind', async (t) => {
    const { api, store } = await serveForTest(t);
    store.serve();
    store.put(named('a', '/a'));
    const descriptors = () => readdirSync('/proc/self/fd').length;
    const round = async () => {
      const stream = reader(api.fetchX509SVID({}, header));
      await stream.next();
      await stream.leave();
    };
    await round();
    const before = descriptors();
    let listening = 0;
    const { onChange } = store;
    Object.defineProperty(store, 'onChange', {
      value(listener: () => void) {
        const stop = onChange.call(store, listener);
        listening += 1;
        return () => {
          listening -= 1;
          stop();
        };
      },
    });
    for (let at = 0; at < 50; at++) await Promise.all(Array.from({ length: 20 }, round));
    await until('all subscriptions are gone', () => listening === 0);
    assert.ok(descriptors() <= before + 2, `${before} descriptors became ${descriptors()}`);
  });
});
