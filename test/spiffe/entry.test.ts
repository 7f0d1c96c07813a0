import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { checkEntry, checkWorkloadId } from '../../src/spiffe/check-entry.js';
import {
  canonicalSelectors,
  type Entry,
  entryUniqueKey,
  mayPrefetch,
  measuredDigests,
  orderIdentities,
  weakReason,
  weakRemark,
  weakSelectors,
} from '../../src/spiffe/entry.js';
import { makeSpiffeId, parseSpiffeId, parseTrustDomain } from '../../src/spiffe/id.js';
import { formatSelector, parseSelector } from '../../src/spiffe/selector.js';
import { entryDomain, entryOf, nodeId } from '../support/entries.js';
import { throwsCode } from '../support/rejects.js';

const other = parseTrustDomain('other.org');
const check = (changes: Partial<Entry>) => checkEntry(entryOf('e', ['unix:uid:1000'], changes), entryDomain);
const refuses = (message: RegExp, changes: Partial<Entry>) =>
  throwsCode('entry_invalid', message, () => check(changes), Object.keys(changes).join());
const id = (path: string) => makeSpiffeId(entryDomain, path);

test('a good entry is given back in canonical form', () => {
  const selectors = ['unix:uid:2', 'unix:uid:1', 'unix:uid:2'].map(parseSelector);
  assert.deepEqual(check({ selectors }).selectors.map(formatSelector), ['unix:uid:1', 'unix:uid:2']);
  assert.ok(check({ id: '' }));
  assert.ok(check({ federatesWith: [other], dnsNames: ['a.example'], hint: 'x', expiresAt: 4_000_000_000 }));
});

test('XS-04: the ID of a workload has a path, lies in the trust domain and not below /spire', () => {
  refuses(/spiffe_id spiffe:\/\/example.org has no path/, {
    spiffeId: parseSpiffeId('spiffe://example.org'),
  });
  refuses(/is not in trust domain example.org/, { spiffeId: makeSpiffeId(other, '/x') });
  for (const path of ['/spire', '/spire/agent/x', '/spire/server']) {
    refuses(/is below \/spire, which is reserved/, { spiffeId: id(path) });
  }
  checkWorkloadId(id('/spire2'), entryDomain);
  checkWorkloadId(id('/x/spire'), entryDomain);
});

test('the parent is any member of the trust domain', () => {
  assert.ok(check({ parentId: id('/spire/server') }));
  assert.ok(check({ parentId: parseSpiffeId('spiffe://example.org') }));
  refuses(/parent_id spiffe:\/\/other.org\/x is not in/, { parentId: makeSpiffeId(other, '/x') });
  refuses(/parent_id and spiffe_id are both/, { parentId: id('/web') });
});

test('there is at least one selector, and each is type and value', () => {
  refuses(/selectors is empty/, { selectors: [] });
  refuses(/has ":x", which is not type:value/, { selectors: [{ type: '', value: 'x' }] });
  refuses(/has "unix:", which is not type:value/, { selectors: [{ type: 'unix', value: '' }] });
  refuses(/has "a:b:c", which is not type:value/, { selectors: [{ type: 'a:b', value: 'c' }] });
  refuses(/longer than 4352 bytes/, { selectors: [{ type: 'unix', value: 'é'.repeat(2200) }] });
  const many = Array.from({ length: 257 }, (_, n) => ({ type: 'unix', value: `uid:${n}` }));
  refuses(/more than 256 elements/, { selectors: many });
});

test('WA-17: a hint has at most 1024 bytes, not characters', () => {
  assert.ok(check({ hint: 'a'.repeat(1024) }));
  assert.ok(check({ hint: 'é'.repeat(512) }));
  refuses(/hint has 1025 bytes/, { hint: 'a'.repeat(1025) });
  refuses(/hint has 1026 bytes/, { hint: 'é'.repeat(513) });
});

test('an entry ID is at most 255 plain characters', () => {
  assert.ok(check({ id: 'A-z_0.9'.padEnd(255, 'x') }));
  refuses(/id ".*" is not at most 255 characters/, { id: 'x'.repeat(256) });
  for (const bad of ['a b', 'a/b', 'é', 'a:b', 'a\n']) refuses(/is not at most 255 characters/, { id: bad });
});

test('times and lifetimes are whole and not negative', () => {
  for (const bad of [-1, 1.5, Number.NaN, 2 ** 31]) {
    refuses(/x509_svid_ttl is /, { x509SvidTtl: bad });
    refuses(/jwt_svid_ttl is /, { jwtSvidTtl: bad });
  }
  refuses(/expires_at is -1/, { expiresAt: -1 });
});

test('a stored SVID has selectors of one type and is prefetched', () => {
  const selectors = ['aws:a:b', 'aws:c:d'].map(parseSelector);
  assert.ok(check({ storeSvid: true, selectors }));
  refuses(/selectors of one type only/, {
    storeSvid: true,
    selectors: [...selectors, parseSelector('unix:uid:1')],
  });
  refuses(/disable_x509_svid_prefetch/, { storeSvid: true, selectors, disableX509SvidPrefetch: true });
});

test('federation names other domains, each once', () => {
  refuses(/has the own trust domain/, { federatesWith: [entryDomain] });
  refuses(/names a domain twice/, { federatesWith: [other, other] });
});

test('DNS names are labels, with a wildcard at most as the first and never beside what it covers', () => {
  for (const good of [
    'a',
    'a.b',
    'A-1.example',
    '*.example.org',
    'xn--bcher-kva.example',
    `${'a'.repeat(63)}.b`,
  ]) {
    assert.ok(check({ dnsNames: [good] }), good);
  }
  const bad = [
    '',
    '.',
    'a.',
    '.a',
    'a..b',
    '-a',
    'a-',
    'a_b',
    '*',
    'a.*',
    '*a.b',
    'é',
    'a b',
    `${'a'.repeat(64)}.b`,
    'a\0',
  ];
  for (const name of [...bad, `${'a.'.repeat(127)}b`])
    refuses(/dns_names: ".*is not a DNS name$/s, { dnsNames: [name] });
  refuses(/DNS name A.b is given twice/, { dnsNames: ['a.b', 'A.b'] });
  refuses(/DNS name x.b is covered by \*\.b already/, { dnsNames: ['*.b', 'x.b'] });
  assert.ok(check({ dnsNames: ['*.b', 'x.y.b', 'b'] }));
});

test('entries are the same when parent, ID and the set of selectors are', () => {
  const key = (...selectors: string[]) => entryUniqueKey(entryOf('x', selectors));
  assert.equal(
    key('a:1', 'b:2'),
    entryUniqueKey({ ...entryOf('y'), selectors: ['b:2', 'a:1', 'b:2'].map(parseSelector) }),
  );
  assert.notEqual(key('a:1'), key('a:1', 'b:2'));
  assert.notEqual(key('a:1","b:2'), key('a:1', 'b:2'));
  assert.notEqual(key('a:1'), entryUniqueKey(entryOf('x', ['a:1'], { parentId: id('/p') })));
});

test('canonical selectors do not depend on the order given', () => {
  const selector = fc.tuple(fc.constantFrom('unix', 'k8s', 'é'), fc.string({ minLength: 1, maxLength: 4 }));
  fc.assert(
    fc.property(fc.uniqueArray(selector, { selector: String }), (pairs) => {
      const list = pairs.map(([type, value]) => ({ type, value }));
      assert.deepEqual(canonicalSelectors([...list].reverse()), canonicalSelectors([...list, ...list]));
    }),
  );
});

test('WA-16, D-15: identities are sorted by entry ID, so the first is stable', () => {
  const entries = ['c', 'a', 'b'].map((name) => entryOf(name));
  assert.deepEqual(
    orderIdentities(entries).map((entry) => entry.id),
    ['a', 'b', 'c'],
  );
  assert.equal(entries[0]?.id, 'c');
});

test('WX-09: of entries with one hint the oldest stays, then the lowest ID; empty hints never clash', () => {
  const made = (name: string, hint: string, createdAt: number) =>
    entryOf(name, undefined, { hint, createdAt });
  const ids = (...entries: Entry[]) => orderIdentities(entries).map((entry) => entry.id);
  assert.deepEqual(ids(made('a', 'h', 20), made('b', 'h', 10), made('c', '', 1), made('d', '', 1)), [
    'b',
    'c',
    'd',
  ]);
  assert.deepEqual(ids(made('b', 'h', 10), made('a', 'h', 10), made('z', 'i', 0)), ['a', 'z']);
});

test('selectors that speak of a file only are weak', () => {
  const weak = (...selectors: string[]) => weakSelectors(entryOf('x', selectors));
  for (const only of ['unix:path:/bin/x', 'unix:sha256:00', 'binary:sha256:00', 'binary:measured:true'])
    assert.ok(weak(only));
  assert.ok(weak('unix:path:/x', 'unix:sha256:00'));
  assert.equal(weak('unix:path:/x', 'unix:uid:0'), false);
  assert.equal(weak('systemd:id:nginx.service', 'binary:sha256:00'), false);
  assert.equal(weak('tpm:ek_hash:00'), false);
  assert.match(
    weakReason([parseSelector('unix:path:/x')]) ?? '',
    /^unix:path:\/x: any user may run that file/,
  );
  assert.equal(weakReason([]), undefined);
});

test('an interpreter is remarked on beside whatever selectors, and is no reason to refuse an entry', () => {
  const selectors = ['unix:path:/usr/bin/python3.11', 'unix:uid:0'].map(parseSelector);
  assert.equal(weakReason(selectors), undefined);
  assert.equal(
    weakRemark(selectors),
    'unix:path:/usr/bin/python3.11 is an interpreter: it does not say which program it runs',
  );
  assert.match(weakRemark([parseSelector('unix:path:/bin/sh')]) ?? '', /any user may run that file/);
  assert.equal(weakRemark(['unix:path:/usr/sbin/nginx', 'unix:uid:0'].map(parseSelector)), undefined);
});

test('the entry of a node alias is checked like any other', () => {
  assert.ok(
    check({
      parentId: id('/spire/server'),
      spiffeId: id('/cluster'),
      selectors: [parseSelector('tpm:model:x')],
    }),
  );
  assert.equal(nodeId, 'spiffe://example.org/spire/agent/tpm/ab');
});

describe('entries for measured binaries', () => {
  const digest = `sha256:${'ab'.repeat(32)}`;
  const measured = ['binary:measured:true', `binary:${digest}`, 'unix:uid:0'].map(parseSelector);

  test('name the digests that must be in the list of the host, and are not fetched ahead', () => {
    const entry = check({ selectors: measured });
    assert.deepEqual(measuredDigests(entry), [digest]);
    assert.equal(mayPrefetch(entry), false);
    assert.deepEqual(measuredDigests(check({ selectors: measured.slice(1) })), []);
    assert.equal(mayPrefetch(check({ selectors: measured.slice(1) })), true);
    assert.equal(mayPrefetch(check({ disableX509SvidPrefetch: true })), false);
  });

  test('must say which binary it is', () => {
    refuses(/binary:measured:true without the binary:sha256/, {
      selectors: ['binary:measured:true', 'unix:uid:0'].map(parseSelector),
    });
    refuses(/there is only binary:measured:true/, {
      selectors: ['binary:measured:false', `binary:${digest}`].map(parseSelector),
    });
    refuses(/not 64 lower-case hex digits/, { selectors: [parseSelector('binary:sha256:ABC')] });
  });
});
