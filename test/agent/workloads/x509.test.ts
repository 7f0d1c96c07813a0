import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { describe, test } from 'node:test';
import { systemClock } from '../../../src/clock.js';
import { makeSpiffeId, parseTrustDomain } from '../../../src/spiffe/id.js';
import { authoritiesOf, parseX509Svid, verifyX509Svid } from '../../../src/spiffe/x509-svid.js';
import type { X509SVIDResponse } from '../../../src/wire/gen/spiffe/workload_pb.js';
import { splitDer } from '../../../src/x509/der.js';
import { importPkcs8 } from '../../../src/x509/keys.js';
import { exportSpki } from '../../../src/x509/spki.js';
import { signingAuthority } from '../../fakes/signing-authority.js';
import { entryDomain, entryOf } from '../../support/entries.js';
import { foreign, header, mine, reader, serveForTest, workloadClient } from './support.js';

const other = parseTrustDomain('other.test');
const idsOf = ({ svids }: X509SVIDResponse) => svids.map(({ spiffeId }) => spiffeId);
const named = (id: string, path: string, more: Parameters<typeof entryOf>[2] = {}) =>
  entryOf(id, [mine], { spiffeId: makeSpiffeId(entryDomain, path), ...more });

describe('FetchX509SVID', () => {
  test('WX-03 WX-04 WX-05 WX-06 WX-14 one identity: chain, key and bundle as clients insist on', async (t) => {
    const { api, store } = await serveForTest(t);
    store.serve();
    store.put(named('one', '/web'));
    const { svids, crl, federatedBundles } = await reader(api.fetchX509SVID({}, header)).next();
    const [svid] = svids;
    assert.ok(svid);
    const chain = splitDer(svid.x509Svid);
    const leaf = parseX509Svid(chain);
    assert.equal(leaf.id, 'spiffe://example.org/web');
    assert.equal(svid.spiffeId, leaf.id);
    const bundle = store.authority.bundle();
    assert.equal(verifyX509Svid(chain, bundle, Date.now() / 1000).id, leaf.id);
    const publicKey = createPublicKey(importPkcs8(svid.x509SvidKey));
    assert.deepEqual(Buffer.from(exportSpki(publicKey)), Buffer.from(leaf.chain[0]?.spki ?? []));
    assert.deepEqual(
      splitDer(svid.bundle).map((der) => Buffer.from(der)),
      authoritiesOf(bundle).map(({ der }) => Buffer.from(der)),
    );
    assert.deepEqual([crl, federatedBundles], [[], {}]);
  });

  test('WX-02 WA-16 three entries are three identities, in the same order every time', async (t) => {
    const served = await serveForTest(t);
    served.store.serve();
    served.store.put(
      named('b', '/second'),
      named('c', '/third'),
      named('a', '/first'),
      entryOf('d', [foreign]),
    );
    const expected = ['first', 'second', 'third'].map((name) => `spiffe://example.org/${name}`);
    for (let round = 0; round < 3; round++) {
      const api = workloadClient(served.channel());
      assert.deepEqual(idsOf(await reader(api.fetchX509SVID({}, header)).next()), expected);
    }
    served.store.remove('c');
    served.store.put(named('c', '/third'));
    assert.deepEqual(idsOf(await reader(served.api.fetchX509SVID({}, header)).next()), expected);
  });

  test('WX-09 of two entries with one hint the one made first is told', async (t) => {
    const { api, store } = await serveForTest(t);
    store.serve();
    store.put(
      named('a', '/young', { hint: 'in', createdAt: 20 }),
      named('b', '/old', { hint: 'in', createdAt: 10 }),
    );
    const { svids } = await reader(api.fetchX509SVID({}, header)).next();
    assert.deepEqual(
      svids.map(({ spiffeId, hint }) => [spiffeId, hint]),
      [['spiffe://example.org/old', 'in']],
    );
  });

  test('WX-07 WX-08 DF-13 CRLs and the bundles of just those domains that an entry federates with', async (t) => {
    const { api, store } = await serveForTest(t);
    const partner = signingAuthority(systemClock, 'other.test').bundle();
    const stranger = signingAuthority(systemClock, 'stranger.test').bundle();
    store.serve();
    store.publish([partner, stranger, store.authority.bundle()], [Uint8Array.of(0x30, 0)]);
    store.put(named('a', '/web', { federatesWith: [other, entryDomain] }));
    const { federatedBundles, crl } = await reader(api.fetchX509SVID({}, header)).next();
    assert.deepEqual(Object.keys(federatedBundles), ['spiffe://other.test']);
    assert.equal(splitDer(federatedBundles['spiffe://other.test'] ?? new Uint8Array()).length, 1);
    assert.deepEqual(crl, [Uint8Array.of(0x30, 0)]);
  });

  test('DF-08 a federated domain without authorities is not named: one empty bundle spoils the answer', async (t) => {
    const { api, store } = await serveForTest(t);
    store.serve();
    store.publish([
      { trustDomain: other, x509Authorities: [], jwtAuthorities: [], refreshHint: 0, sequence: 0n },
    ]);
    store.put(named('a', '/web', { federatesWith: [other] }));
    assert.deepEqual((await reader(api.fetchX509SVID({}, header)).next()).federatedBundles, {});
  });
});

describe('FetchX509Bundles', () => {
  test('WX-12 the own domain and federated ones, whole at each change', async (t) => {
    const { api, store } = await serveForTest(t);
    const partner = signingAuthority(systemClock, 'other.test');
    store.serve();
    store.put(named('a', '/a', { federatesWith: [other] }));
    const stream = reader(api.fetchX509Bundles({}, header));
    const first = await stream.next();
    assert.deepEqual(Object.keys(first.bundles), ['spiffe://example.org']);
    store.publish([partner.bundle()]);
    assert.deepEqual(Object.keys((await stream.next()).bundles).sort(), [
      'spiffe://example.org',
      'spiffe://other.test',
    ]);
    partner.rotate();
    store.publish([partner.bundle()]);
    const third = await stream.next();
    assert.equal(splitDer(third.bundles['spiffe://other.test'] ?? new Uint8Array()).length, 2);
    store.publish([partner.bundle()]);
    assert.ok(await stream.silent());
  });

  test('WA-15 WX-13 it ends when the last entry goes', async (t) => {
    const { api, store } = await serveForTest(t);
    store.serve();
    store.put(named('a', '/a'));
    const stream = reader(api.fetchX509Bundles({}, header));
    await stream.next();
    store.remove('a');
    assert.equal((await stream.end()).rpc, 'PERMISSION_DENIED');
  });
});
