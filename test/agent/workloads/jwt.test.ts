import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { systemClock } from '../../../src/clock.js';
import { TouchmarkError } from '../../../src/errors.js';
import { makeSpiffeId, parseSpiffeId, parseTrustDomain } from '../../../src/spiffe/id.js';
import { parseJwtSvid } from '../../../src/spiffe/jwt-svid.js';
import { fakeIdentityStore } from '../../fakes/identity-store.js';
import { signingAuthority } from '../../fakes/signing-authority.js';
import { entryDomain, entryOf } from '../../support/entries.js';
import { badSpiffeIds } from '../../support/ids.js';
import { foreign, header, mine, reader, rpcFailure, serveForTest } from './support.js';

const other = parseTrustDomain('other.test');
const named = (id: string, path: string, more: Parameters<typeof entryOf>[2] = {}) =>
  entryOf(id, [mine], { spiffeId: makeSpiffeId(entryDomain, path), ...more });
const keysOf = (jwks: Uint8Array | undefined): { kid: string; use?: string; x5c?: string }[] =>
  JSON.parse(Buffer.from(jwks ?? []).toString()).keys;

describe('FetchJWTSVID', () => {
  test('WJ-02 WJ-03 WJ-06 one token for each identity, in the order of the X.509-SVIDs, for just these audiences', async (t) => {
    const { api, store } = await serveForTest(t);
    store.serve();
    store.put(named('b', '/b'), named('a', '/a', { hint: 'in' }), named('c', '/c'), entryOf('d', [foreign]));
    const { svids } = await api.fetchJWTSVID({ audience: ['x', 'y'] }, header);
    assert.deepEqual(
      svids.map(({ spiffeId, hint }) => [spiffeId, hint]),
      [
        ['spiffe://example.org/a', 'in'],
        ['spiffe://example.org/b', ''],
        ['spiffe://example.org/c', ''],
      ],
    );
    for (const { spiffeId, svid } of svids) {
      const token = parseJwtSvid(svid);
      assert.equal(token.id, spiffeId);
      assert.deepEqual([...token.audience].sort(), ['x', 'y']);
    }
  });

  test('WJ-04 WJ-05 an ID selects one identity; another’s or none is PermissionDenied', async (t) => {
    const { api, store } = await serveForTest(t);
    store.serve();
    store.put(
      named('a', '/a'),
      named('b', '/b'),
      entryOf('d', [foreign], { spiffeId: makeSpiffeId(entryDomain, '/d') }),
    );
    const { svids } = await api.fetchJWTSVID({ audience: ['x'], spiffeId: 'spiffe://example.org/b' }, header);
    assert.deepEqual(
      svids.map(({ spiffeId }) => spiffeId),
      ['spiffe://example.org/b'],
    );
    for (const spiffeId of [
      'spiffe://example.org/d',
      'spiffe://example.org/nobody',
      'spiffe://other.test/a',
    ]) {
      const { rpc, code, message } = await rpcFailure(
        api.fetchJWTSVID({ audience: ['x'], spiffeId }, header),
      );
      assert.deepEqual([rpc, code], ['PERMISSION_DENIED', 'no_identity']);
      assert.match(message, /no identity issued/);
    }
  });

  test('WJ-04 a malformed ID is InvalidArgument', async (t) => {
    const { api, store } = await serveForTest(t);
    store.serve();
    store.put(named('a', '/a'));
    for (const spiffeId of badSpiffeIds.filter((id) => id !== '')) {
      const { rpc } = await rpcFailure(api.fetchJWTSVID({ audience: ['x'], spiffeId }, header));
      assert.equal(rpc, 'INVALID_ARGUMENT', JSON.stringify(spiffeId));
    }
  });

  test('WJ-01 WA-11 audiences must be there, not empty, not too many and not too long', async (t) => {
    const { api, store } = await serveForTest(t);
    store.serve();
    store.put(named('a', '/a'));
    const many = Array.from({ length: 33 }, (_, at) => String(at));
    for (const audience of [[], [''], ['x', ''], many, ['a'.repeat(1025)], ['é'.repeat(513)]]) {
      const { rpc, code, message } = await rpcFailure(api.fetchJWTSVID({ audience }, header));
      assert.deepEqual([rpc, code], ['INVALID_ARGUMENT', 'audience_invalid']);
      assert.match(message, /audience/);
    }
    assert.equal((await api.fetchJWTSVID({ audience: many.slice(1) }, header)).svids.length, 1);
  });

  test('WJ-14 DF-07 DF-09 a token verifies at once with the bundles that were already told', async (t) => {
    const { api, store } = await serveForTest(t);
    store.serve();
    store.put(named('a', '/a'));
    const bundles = reader(api.fetchJWTBundles({}, header));
    await bundles.next();
    store.authority.rotate();
    store.publish();
    const told = await bundles.next();
    const { svids } = await api.fetchJWTSVID({ audience: ['x'] }, header);
    const token = svids[0]?.svid ?? '';
    const { kid } = JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString());
    assert.ok(keysOf(told.bundles['spiffe://example.org']).some((key) => key.kid === kid));
    const answer = await api.validateJWTSVID({ audience: 'x', svid: token }, header);
    assert.equal(answer.spiffeId, 'spiffe://example.org/a');
  });

  test('a second call is answered from the cache', async (t) => {
    const { api, store } = await serveForTest(t);
    store.serve();
    store.put(named('a', '/a'));
    const first = await api.fetchJWTSVID({ audience: ['x'] }, header);
    const second = await api.fetchJWTSVID({ audience: ['x'] }, header);
    assert.equal(second.svids[0]?.svid, first.svids[0]?.svid);
    assert.equal(store.server.tokens.length, 1);
  });

  test('without a server it is Unavailable', async (t) => {
    const { api, store } = await serveForTest(t);
    store.serve();
    store.put(named('a', '/a'));
    store.server.fail = new TouchmarkError('server_away', 'the server is away');
    const { rpc, code } = await rpcFailure(api.fetchJWTSVID({ audience: ['x'] }, header));
    assert.deepEqual([rpc, code], ['UNAVAILABLE', 'svid_unavailable']);
  });

  test('an entry that stops matching while its token is signed gives no token', async (t) => {
    const { api, store } = await serveForTest(t);
    store.serve();
    store.put(named('a', '/a'), named('b', '/b'));
    let release = () => {};
    store.server.hold = new Promise((resolve) => {
      release = resolve;
    });
    const asked = rpcFailure(
      api.fetchJWTSVID({ audience: ['x'], spiffeId: 'spiffe://example.org/a' }, header),
    );
    while (store.server.tokens.length === 0) await new Promise((resolve) => setTimeout(resolve, 2));
    store.put(entryOf('a', [foreign], { spiffeId: makeSpiffeId(entryDomain, '/a'), revisionNumber: 1 }));
    release();
    assert.equal((await asked).rpc, 'PERMISSION_DENIED');
  });
});

describe('FetchJWTBundles', () => {
  test('WJ-07 WJ-08 the own domain’s JWT keys, as a plain JWK Set, and nothing else in it', async (t) => {
    const { api, store } = await serveForTest(t);
    store.serve();
    store.put(named('a', '/a', { federatesWith: [other] }));
    store.publish([signingAuthority(systemClock, 'other.test').bundle()]);
    const { bundles } = await reader(api.fetchJWTBundles({}, header)).next();
    assert.deepEqual(Object.keys(bundles).sort(), ['spiffe://example.org', 'spiffe://other.test']);
    const keys = keysOf(bundles['spiffe://example.org']);
    assert.deepEqual(
      keys.map(({ kid }) => kid),
      store.authority.bundle().jwtAuthorities.map(({ keyId }) => keyId),
    );
    for (const key of keys) assert.deepEqual([key.use, key.x5c], [undefined, undefined]);
    const document = JSON.parse(Buffer.from(bundles['spiffe://example.org'] ?? []).toString());
    assert.deepEqual(Object.keys(document), ['keys']);
  });

  test('says nothing when only X.509 matters change', async (t) => {
    const { api, store } = await serveForTest(t);
    store.serve();
    store.put(named('a', '/a'));
    const stream = reader(api.fetchJWTBundles({}, header));
    await stream.next();
    store.publish([], [Uint8Array.of(0x30, 0)]);
    store.put(named('b', '/b'));
    assert.ok(await stream.silent());
    store.authority.rotate();
    store.publish();
    assert.equal(keysOf((await stream.next()).bundles['spiffe://example.org']).length, 2);
  });
});

describe('ValidateJWTSVID', () => {
  const id = parseSpiffeId('spiffe://example.org/a');

  test('WJ-10 WJ-12 a good token gives its ID and claims: numbers as numbers, aud as a list', async (t) => {
    const { api, store } = await serveForTest(t);
    store.serve();
    store.put(named('a', '/a'));
    const svid = store.authority.jwt(id, ['x'], 60, 'unique');
    const { spiffeId, claims } = await api.validateJWTSVID({ audience: 'x', svid }, header);
    assert.equal(spiffeId, id);
    assert.deepEqual([claims?.['sub'], claims?.['aud'], claims?.['jti']], [id, ['x'], 'unique']);
    assert.equal(typeof claims?.['exp'], 'number');
  });

  test('WJ-10 WJ-11 WA-11 anything wrong with token or request is InvalidArgument', async (t) => {
    let behind = 0;
    const clock = { ...systemClock, now: () => Date.now() - behind };
    const { api, store } = await serveForTest(t, { store: fakeIdentityStore({ clock }) });
    store.serve();
    store.put(named('a', '/a'));
    behind = 300_000;
    const expired = store.authority.jwt(id, ['x'], 60);
    behind = 0;
    const good = store.authority.jwt(id, ['x'], 60);
    const [head, body, signature] = good.split('.');
    const stranger = signingAuthority(systemClock).jwt(id, ['x'], 60);
    const wrong: [audience: string, svid: string][] = [
      ['', good],
      ['x', ''],
      ['y', good],
      ['x', expired],
      ['x', stranger],
      ['x', `${head}.${body}.`],
      ['x', `${head}.${body}`],
      ['x', `${head}.${body}.${signature?.slice(0, -4)}AAAA`],
      ['x', 'not a token'],
      ['x', 'a'.repeat(64 * 1024 + 1)],
      [
        'x',
        signingAuthority(systemClock, 'other.test').jwt(parseSpiffeId('spiffe://other.test/a'), ['x'], 60),
      ],
    ];
    for (const [audience, svid] of wrong) {
      const { rpc, code } = await rpcFailure(api.validateJWTSVID({ audience, svid }, header));
      assert.equal(rpc, 'INVALID_ARGUMENT', svid.slice(0, 80));
      assert.match(code ?? '', /^(jwt_svid_invalid|audience_invalid)$/);
    }
  });

  test('WJ-13 a federated token is good for those whose entry federates with its domain, and for nobody else', async (t) => {
    const { api, store } = await serveForTest(t);
    const partner = signingAuthority(systemClock, 'other.test');
    store.serve();
    store.publish([partner.bundle()]);
    const svid = partner.jwt(parseSpiffeId('spiffe://other.test/a'), ['x'], 60);
    store.put(named('a', '/a'));
    assert.equal(
      (await rpcFailure(api.validateJWTSVID({ audience: 'x', svid }, header))).code,
      'jwt_svid_invalid',
    );
    store.put(named('b', '/b', { federatesWith: [other] }));
    assert.equal(
      (await api.validateJWTSVID({ audience: 'x', svid }, header)).spiffeId,
      'spiffe://other.test/a',
    );
  });
});
