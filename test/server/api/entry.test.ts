import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Bundle } from '../../../src/wire/gen/spire/server/bundle_pb.js';
import { Entry } from '../../../src/wire/gen/spire/server/entry_pb.js';
import { entry, refused, stage, textId, wireId } from './support.js';

const PARENT = 'spiffe://example.org/spire/agent/x/1';
const codes = (results: readonly { status?: { code: number } | undefined }[]) =>
  results.map(({ status }) => status?.code);

test('a created entry is answered, found and listed with every field', async (t) => {
  const on = await stage(t);
  await on.operator(Bundle).batchSetFederatedBundle({ bundle: [{ trustDomain: 'other.org' }] });
  const wanted = {
    ...entry('/web', PARENT, 'unix:uid:1', 'unix:gid:2'),
    x509SvidTtl: 60,
    jwtSvidTtl: 30,
    federatesWith: ['other.org'],
    admin: true,
    downstream: true,
    expiresAt: 4_000_000_000n,
    dnsNames: ['web.example.org'],
    storeSvid: false,
    hint: 'outer',
    additionalAttributes: { disableX509SvidPrefetch: true, jwtSvidIncludeJti: true },
  };
  const client = on.operator(Entry);
  const { results } = await client.batchCreateEntry({ entries: [wanted] });
  assert.deepEqual(codes(results), [0]);
  const made = results[0]?.entry;
  assert.match(made?.id ?? '', /^[0-9a-f-]{36}$/);
  assert.equal(textId(made?.spiffeId), 'spiffe://example.org/web');
  assert.equal(textId(made?.parentId), PARENT);
  assert.deepEqual(
    made?.selectors.map(({ type, value }) => `${type}:${value}`),
    ['unix:gid:2', 'unix:uid:1'],
  );
  assert.deepEqual(
    [
      made?.x509SvidTtl,
      made?.jwtSvidTtl,
      made?.federatesWith,
      made?.admin,
      made?.downstream,
      made?.expiresAt,
    ],
    [60, 30, ['other.org'], true, true, 4_000_000_000n],
  );
  assert.deepEqual([made?.dnsNames, made?.hint, made?.revisionNumber], [['web.example.org'], 'outer', 0n]);
  assert.equal(made?.additionalAttributes?.disableX509SvidPrefetch, true);
  assert.equal(made?.additionalAttributes?.jwtSvidIncludeJti, true);
  assert.ok(Number(made?.createdAt) > 1_700_000_000);
  assert.deepEqual(await client.getEntry({ id: made?.id ?? '' }), made);
  assert.deepEqual((await client.listEntries({})).entries, [made]);
  assert.equal((await client.countEntries({})).count, 1);
});

test('batch results come in order, one each, whatever happens to the others', async (t) => {
  const on = await stage(t);
  const { results } = await on.operator(Entry).batchCreateEntry({
    entries: [
      entry('/a', PARENT),
      entry('/b', PARENT, 'nonsense:'),
      entry('/a', PARENT),
      { ...entry('/c', PARENT), id: 'my-own.id' },
      { ...entry('/d', PARENT), id: 'my-own.id' },
      entry('/e', 'spiffe://elsewhere.org/x'),
      { selectors: [{ type: 'unix', value: 'uid:0' }], parentId: wireId(PARENT) },
      { ...entry('/f', PARENT), federatesWith: ['unknown.org'] },
      entry('/spire/agent/z', PARENT),
      { ...entry('/g', PARENT), x509SvidTtl: -1 },
    ],
  });
  assert.deepEqual(codes(results), [0, 3, 6, 0, 6, 3, 3, 9, 3, 3]);
  const messages = results.map(({ status }) => status?.message ?? '');
  assert.match(messages[1] ?? '', /selectors/);
  assert.equal(results[2]?.entry?.id, results[0]?.entry?.id);
  assert.equal(results[3]?.entry?.id, 'my-own.id');
  assert.equal(textId(results[4]?.entry?.spiffeId), 'spiffe://example.org/c');
  assert.match(messages[5] ?? '', /entry\.parent_id.*not in trust domain/);
  assert.match(messages[6] ?? '', /entry\.spiffe_id: it is missing/);
  assert.match(messages[7] ?? '', /federates_with names unknown\.org/);
  assert.match(messages[8] ?? '', /\/spire, which is reserved/);
  assert.match(messages[9] ?? '', /x509_svid_ttl is -1/);
  assert.equal((await on.operator(Entry).countEntries({})).count, 2);
});

test('an existing entry is answered again by later calls, with AlreadyExists', async (t) => {
  const on = await stage(t);
  const client = on.operator(Entry);
  const [id] = await on.entries(entry('/a', PARENT, 'unix:uid:1', 'unix:uid:2'));
  const { results } = await client.batchCreateEntry({
    entries: [entry('/a', PARENT, 'unix:uid:2', 'unix:uid:1')],
  });
  assert.deepEqual(codes(results), [6]);
  assert.equal(results[0]?.entry?.id, id);
});

test('weak selectors are accepted with a word about it, or refused where the operator wants so', async (t) => {
  const on = await stage(t);
  const weak = entry('/w', PARENT, 'unix:path:/usr/bin/python3');
  const { results } = await on.operator(Entry).batchCreateEntry({ entries: [weak] });
  assert.match(results[0]?.status?.message ?? '', /weak selectors: .*any user may run that file/);
  assert.ok(on.server.lines.some(({ message }) => message === 'an entry has weak selectors'));
  const script = entry('/s', PARENT, 'unix:path:/usr/bin/python3', 'unix:uid:0');
  const remarked = await on.operator(Entry).batchCreateEntry({ entries: [script] });
  assert.match(remarked.results[0]?.status?.message ?? '', /weak selectors: .*python3 is an interpreter/);
  const strict = await stage(t, { config: { weakSelectors: 'refuse' } });
  const refusedOne = await strict.operator(Entry).batchCreateEntry({ entries: [weak] });
  assert.deepEqual(codes(refusedOne.results), [3]);
  assert.match(refusedOne.results[0]?.status?.message ?? '', /selectors are weak/);
});

test('an update changes what its mask names, raises the revision and keeps the rest', async (t) => {
  const on = await stage(t);
  const client = on.operator(Entry);
  const [id = ''] = await on.entries({ ...entry('/a', PARENT), hint: 'first', x509SvidTtl: 100 });
  const masked = await client.batchUpdateEntry({
    entries: [{ id, hint: 'second', x509SvidTtl: 7 }],
    inputMask: { hint: true },
  });
  const after = masked.results[0]?.entry;
  assert.deepEqual([after?.hint, after?.x509SvidTtl, after?.revisionNumber], ['second', 100, 1n]);
  assert.equal(textId(after?.spiffeId), 'spiffe://example.org/a');
  const whole = await client.batchUpdateEntry({ entries: [{ id, ...entry('/b', PARENT) }] });
  const replaced = whole.results[0]?.entry;
  assert.deepEqual([replaced?.hint, replaced?.x509SvidTtl, replaced?.revisionNumber], ['', 0, 2n]);
  assert.equal(replaced?.createdAt, after?.createdAt);
  const again = await client.batchCreateEntry({ entries: [entry('/a', PARENT)] });
  assert.deepEqual(codes(again.results), [0], 'the old registration is free again');
});

test('an update cannot take the place of another entry, nor of one that is not there', async (t) => {
  const on = await stage(t);
  const [first = '', second = ''] = await on.entries(entry('/a', PARENT), entry('/b', PARENT));
  const { results } = await on.operator(Entry).batchUpdateEntry({
    entries: [
      { id: second, ...entry('/a', PARENT) },
      { id: 'nothing', ...entry('/c', PARENT) },
      { ...entry('/d', PARENT) },
      { id: first, ...entry('/a', PARENT), dnsNames: ['not a name'] },
    ],
  });
  assert.deepEqual(codes(results), [6, 5, 3, 3]);
  assert.equal(results[0]?.entry?.id, first);
  assert.match(results[1]?.status?.message ?? '', /there is no entry "nothing"/);
  assert.match(results[2]?.status?.message ?? '', /entry\.id is empty/);
  assert.match(results[3]?.status?.message ?? '', /dns_names/);
});

test('a deletion is answered item by item', async (t) => {
  const on = await stage(t);
  const client = on.operator(Entry);
  const [id = ''] = await on.entries(entry('/a', PARENT));
  const { results } = await client.batchDeleteEntry({ ids: [id, id, 'nothing', ''] });
  assert.deepEqual(codes(results), [0, 5, 5, 3]);
  assert.deepEqual(
    results.map((one) => one.id),
    [id, id, 'nothing', ''],
  );
  await refused(client.getEntry({ id }), 'NOT_FOUND', /there is no entry/);
  await refused(client.getEntry({ id: '' }), 'INVALID_ARGUMENT', /id is empty/);
});

test('filters find by identity, parent, selectors, federation, hint and downstream', async (t) => {
  const on = await stage(t);
  const client = on.operator(Entry);
  await on
    .operator(Bundle)
    .batchSetFederatedBundle({ bundle: [{ trustDomain: 'o.org' }, { trustDomain: 'p.org' }] });
  await on.entries(
    entry('/a', PARENT, 'unix:uid:1'),
    entry('/b', PARENT, 'unix:uid:1', 'unix:gid:1'),
    { ...entry('/c', `${PARENT}x`, 'unix:gid:1'), hint: 'h', downstream: true },
    { ...entry('/d', PARENT, 'unix:uid:9'), federatesWith: ['o.org', 'p.org'] },
  );
  const find = async (filter: NonNullable<Parameters<typeof client.listEntries>[0]['filter']>) => {
    const { entries } = await client.listEntries({ filter });
    const { count } = await client.countEntries({ filter: filter as never });
    assert.equal(count, entries.length);
    return entries.map(({ spiffeId }) => spiffeId?.path).toSorted();
  };
  const uid1 = { type: 'unix', value: 'uid:1' };
  const gid1 = { type: 'unix', value: 'gid:1' };
  assert.deepEqual(await find({ bySpiffeId: { trustDomain: 'example.org', path: '/b' } }), ['/b']);
  assert.deepEqual(await find({ byParentId: wireId(`${PARENT}x`) }), ['/c']);
  assert.deepEqual(await find({ bySelectors: { selectors: [uid1], match: 0 } }), ['/a']);
  assert.deepEqual(await find({ bySelectors: { selectors: [uid1, gid1], match: 1 } }), ['/a', '/b', '/c']);
  assert.deepEqual(await find({ bySelectors: { selectors: [uid1], match: 2 } }), ['/a', '/b']);
  assert.deepEqual(await find({ bySelectors: { selectors: [gid1], match: 3 } }), ['/b', '/c']);
  assert.deepEqual(await find({ byFederatesWith: { trustDomains: ['spiffe://o.org'], match: 2 } }), ['/d']);
  assert.deepEqual(await find({ byFederatesWith: { trustDomains: ['o.org'], match: 0 } }), []);
  assert.deepEqual(await find({ byHint: 'h' }), ['/c']);
  assert.deepEqual(await find({ byHint: '' }), ['/a', '/b', '/d']);
  assert.deepEqual(await find({ byDownstream: true }), ['/c']);
  assert.deepEqual(await find({ byDownstream: false, byParentId: wireId(PARENT) }), ['/a', '/b', '/d']);
});

test('a filter that says nothing or nonsense is refused by its name', async (t) => {
  const on = await stage(t);
  const client = on.operator(Entry);
  const list = (filter: NonNullable<Parameters<typeof client.listEntries>[0]['filter']>) =>
    client.listEntries({ filter });
  await refused(
    list({ bySelectors: { selectors: [] } }),
    'INVALID_ARGUMENT',
    /^filter\.by_selectors names nothing/,
  );
  await refused(
    list({ bySelectors: { selectors: [{ type: '', value: 'x' }] } }),
    'INVALID_ARGUMENT',
    /by_selectors: a selector lacks/,
  );
  await refused(
    list({ byFederatesWith: { trustDomains: [] } }),
    'INVALID_ARGUMENT',
    /^filter\.by_federates_with/,
  );
  await refused(
    list({ byParentId: { trustDomain: 'UPPER', path: '/x' } }),
    'INVALID_ARGUMENT',
    /^filter\.by_parent_id/,
  );
  await refused(
    list({ bySpiffeId: { trustDomain: 'example.org', path: 'x' } }),
    'INVALID_ARGUMENT',
    /^filter\.by_spiffe_id/,
  );
  await refused(client.listEntries({ pageSize: -1 }), 'INVALID_ARGUMENT', /page_size -1/);
});

test('pages hold everything once and end in an empty token; masks leave the ID', async (t) => {
  const on = await stage(t);
  await on.entries(...Array.from({ length: 7 }, (_, at) => entry(`/p/${at}`, PARENT)));
  const client = on.operator(Entry);
  const seen: string[] = [];
  let pageToken = '';
  do {
    const page = await client.listEntries({ pageSize: 3, pageToken, outputMask: {} });
    for (const one of page.entries) {
      assert.deepEqual([one.spiffeId, one.selectors, one.createdAt], [undefined, [], 0n]);
      seen.push(one.id);
    }
    pageToken = page.nextPageToken;
  } while (pageToken !== '');
  assert.equal(new Set(seen).size, 7);
  const some = await client.listEntries({ outputMask: { hint: true, spiffeId: true } });
  assert.ok(some.entries.every((one) => one.spiffeId !== undefined && one.parentId === undefined));
});

test('a list that is too long is refused by its name', async (t) => {
  const on = await stage(t);
  const many = Array.from({ length: 1001 }, () => 'x');
  await refused(
    on.operator(Entry).batchDeleteEntry({ ids: many }),
    'INVALID_ARGUMENT',
    /^ids: 1001 items are more than 1000/,
  );
  const entries = many.map(() => ({}));
  await refused(on.operator(Entry).batchCreateEntry({ entries }), 'INVALID_ARGUMENT', /^entries: 1001 items/);
});

test('many writers at once lose nothing and make nothing twice', async (t) => {
  const on = await stage(t);
  const client = on.operator(Entry);
  const calls = Array.from({ length: 20 }, (_, at) =>
    client.batchCreateEntry({ entries: [entry('/same', PARENT), entry(`/own/${at}`, PARENT)] }),
  );
  const answers = (await Promise.all(calls)).map(({ results }) => codes(results));
  assert.equal(answers.filter(([code]) => code === 0).length, 1);
  assert.ok(answers.every(([code, own]) => (code === 0 || code === 6) && own === 0));
  assert.equal((await client.countEntries({})).count, 21);
});

test('a full disk is told item by item, and the server keeps serving', async (t) => {
  const on = await stage(t);
  const [id = ''] = await on.entries(entry('/a', PARENT));
  on.server.store.failAsFull(true);
  const { results } = await on
    .operator(Entry)
    .batchCreateEntry({ entries: [entry('/b', PARENT), entry('/a', PARENT)] });
  assert.equal(results[0]?.status?.code, 8);
  assert.match(results[0]?.status?.message ?? '', /disk/);
  assert.equal(results[1]?.status?.code, 6);
  on.server.store.failAsFull(false);
  assert.equal((await on.operator(Entry).getEntry({ id })).id, id);
  assert.equal((await on.operator(Entry).countEntries({})).count, 1);
});
