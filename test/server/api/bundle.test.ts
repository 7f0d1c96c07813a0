import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Agent } from '../../../src/wire/gen/spire/server/agent_pb.js';
import { Bundle } from '../../../src/wire/gen/spire/server/bundle_pb.js';
import { Entry } from '../../../src/wire/gen/spire/server/entry_pb.js';
import { exportSpki } from '../../../src/x509/spki.js';
import { newKey } from '../../fakes/test-server.js';
import { makeLeaf, makeRoot } from '../../support/der-factory.js';
import { entry, refused, stage } from './support.js';

const PARENT = 'spiffe://example.org/spire/agent/x/1';
const root = makeRoot({ notAfter: 4_000_000_000 });
const jwtKey = { keyId: 'k1', publicKey: exportSpki(newKey()), expiresAt: 4_000_000_000n };
const foreign = {
  trustDomain: 'other.org',
  x509Authorities: [{ asn1: root.der }],
  jwtAuthorities: [jwtKey],
  refreshHint: 60n,
  sequenceNumber: 42n,
};
const codes = (results: readonly { status?: { code: number } | undefined }[]) =>
  results.map(({ status }) => status?.code);

test('anybody may read the own bundle, whole or masked', async (t) => {
  const on = await stage(t);
  const bundle = await on.anonymous(Bundle).getBundle({});
  assert.equal(bundle.trustDomain, 'example.org');
  assert.equal(bundle.x509Authorities.length, 1);
  assert.equal(bundle.jwtAuthorities.length, 1);
  assert.equal(bundle.refreshHint, 300n);
  assert.ok(bundle.sequenceNumber >= 1n);
  const masked = await on.operator(Bundle).getBundle({ outputMask: { jwtAuthorities: true } });
  assert.deepEqual(
    [masked.trustDomain, masked.x509Authorities.length, masked.refreshHint],
    ['example.org', 0, 0n],
  );
  assert.equal(masked.jwtAuthorities.length, 1);
});

test('authorities are appended to the own bundle once, and its sequence rises', async (t) => {
  const on = await stage(t);
  const client = on.operator(Bundle);
  const before = await client.getBundle({});
  const added = { x509Authorities: [{ asn1: root.der }], jwtAuthorities: [jwtKey] };
  const after = await client.appendBundle(added);
  assert.equal(after.x509Authorities.length, 2);
  assert.ok(after.jwtAuthorities.some(({ keyId }) => keyId === 'k1'));
  assert.ok(after.sequenceNumber > before.sequenceNumber);
  const again = await client.appendBundle(added);
  assert.deepEqual([again.x509Authorities.length, again.sequenceNumber], [2, after.sequenceNumber]);
  const leaf = makeLeaf(root).der;
  await refused(
    client.appendBundle({ x509Authorities: [{ asn1: leaf }] }),
    'INVALID_ARGUMENT',
    /^x509_authorities\[0\]: .*not a certificate authority/,
  );
  await refused(
    client.appendBundle({ x509Authorities: [{ asn1: Buffer.from('x') }] }),
    'INVALID_ARGUMENT',
    /^x509_authorities\[0\]/,
  );
  await refused(
    client.appendBundle({ jwtAuthorities: [{ ...jwtKey, keyId: '' }] }),
    'INVALID_ARGUMENT',
    /^jwt_authorities\[0\]\.key_id/,
  );
  await refused(client.appendBundle({ witAuthorities: [{}] }), 'UNIMPLEMENTED', /WIT/);
});

test('a foreign bundle is created, read, updated by mask, set and counted', async (t) => {
  const on = await stage(t);
  const client = on.operator(Bundle);
  const created = await client.batchCreateFederatedBundle({ bundle: [foreign, foreign] });
  assert.deepEqual(codes(created.results), [0, 6]);
  assert.match(created.results[1]?.status?.message ?? '', /there is a bundle of other\.org already/);
  const read = await client.getFederatedBundle({ trustDomain: 'spiffe://other.org' });
  assert.deepEqual([read.trustDomain, read.refreshHint, read.sequenceNumber], ['other.org', 60n, 42n]);
  assert.deepEqual(Buffer.from(read.x509Authorities[0]?.asn1 ?? []), Buffer.from(root.der));
  assert.deepEqual(
    [read.jwtAuthorities[0]?.keyId, read.jwtAuthorities[0]?.expiresAt],
    ['k1', 4_000_000_000n],
  );
  const change = { trustDomain: 'other.org', refreshHint: 99n };
  const updated = await client.batchUpdateFederatedBundle({
    bundle: [change],
    inputMask: { refreshHint: true },
  });
  assert.deepEqual(
    [updated.results[0]?.bundle?.refreshHint, updated.results[0]?.bundle?.x509Authorities.length],
    [99n, 1],
  );
  const missing = await client.batchUpdateFederatedBundle({ bundle: [{ trustDomain: 'nowhere.org' }] });
  assert.deepEqual(codes(missing.results), [5]);
  const set = await client.batchSetFederatedBundle({
    bundle: [{ trustDomain: 'a.org' }, change],
    outputMask: {},
  });
  assert.deepEqual(codes(set.results), [0, 0]);
  assert.deepEqual(
    set.results.map(({ bundle }) => [bundle?.trustDomain, bundle?.refreshHint]),
    [
      ['a.org', 0n],
      ['other.org', 0n],
    ],
  );
  assert.equal((await client.countBundles({})).count, 3);
  const first = await client.listFederatedBundles({ pageSize: 1 });
  assert.deepEqual([first.bundles.map((one) => one.trustDomain), first.nextPageToken], [['a.org'], 'a.org']);
  const last = await client.listFederatedBundles({ pageSize: 1, pageToken: first.nextPageToken });
  assert.deepEqual([last.bundles.map((one) => one.trustDomain), last.nextPageToken], [['other.org'], '']);
});

test('the own domain is no foreign one, and a domain must have a name', async (t) => {
  const on = await stage(t);
  const client = on.operator(Bundle);
  const { results } = await client.batchSetFederatedBundle({
    bundle: [{ trustDomain: 'example.org' }, { trustDomain: '' }],
  });
  assert.deepEqual(codes(results), [3, 3]);
  assert.match(results[0]?.status?.message ?? '', /own trust domain/);
  await refused(
    client.getFederatedBundle({ trustDomain: 'example.org' }),
    'INVALID_ARGUMENT',
    /own trust domain/,
  );
  await refused(
    client.getFederatedBundle({ trustDomain: 'x.org' }),
    'NOT_FOUND',
    /no bundle of trust domain x\.org/,
  );
});

test('an agent reads foreign bundles, nobody else without a role does', async (t) => {
  const on = await stage(t);
  const agent = await on.agent();
  await on.operator(Bundle).batchSetFederatedBundle({ bundle: [foreign] });
  assert.equal(
    (await on.as(agent, Bundle).getFederatedBundle({ trustDomain: 'other.org' })).trustDomain,
    'other.org',
  );
  await refused(on.as(agent, Bundle).getFederatedBundle({ trustDomain: 'x.org' }), 'NOT_FOUND', /x\.org/);
  await refused(
    on.anonymous(Bundle).getFederatedBundle({ trustDomain: 'other.org' }),
    'PERMISSION_DENIED',
    /may not call/,
  );
});

for (const [mode, name] of [
  [0, 'restrict'],
  [1, 'delete'],
  [2, 'dissociate'],
] as const) {
  test(`deleting a bundle that entries federate with, mode ${name}`, async (t) => {
    const on = await stage(t);
    const client = on.operator(Bundle);
    await client.batchSetFederatedBundle({ bundle: [foreign, { trustDomain: 'p.org' }] });
    const [id = ''] = await on.entries(
      { ...entry('/a', PARENT), federatesWith: ['other.org', 'p.org'] },
      entry('/b', PARENT),
    );
    const { results } = await client.batchDeleteFederatedBundle({
      trustDomains: ['other.org', 'x.org', 'example.org'],
      mode,
    });
    assert.deepEqual(codes(results), [mode === 0 ? 9 : 0, 5, 3]);
    assert.deepEqual(
      results.map((one) => one.trustDomain),
      ['other.org', 'x.org', 'example.org'],
    );
    const { entries } = await on.operator(Entry).listEntries({});
    const left = entries.find((one) => one.id === id);
    if (mode === 0) {
      assert.match(results[0]?.status?.message ?? '', /1 entries federate with other\.org/);
      assert.deepEqual(left?.federatesWith, ['other.org', 'p.org']);
    }
    if (mode === 1) assert.deepEqual([left, entries.length], [undefined, 1]);
    if (mode === 2) assert.deepEqual([left?.federatesWith, left?.revisionNumber], [['p.org'], 1n]);
    assert.equal((await client.countBundles({})).count, mode === 0 ? 3 : 2);
  });
}

test('an unknown mode deletes nothing', async (t) => {
  const on = await stage(t);
  const client = on.operator(Bundle);
  await client.batchSetFederatedBundle({ bundle: [foreign] });
  await on.entries({ ...entry('/a', PARENT), federatesWith: ['other.org'] });
  const { results } = await client.batchDeleteFederatedBundle({
    trustDomains: ['other.org'],
    mode: 9 as never,
  });
  assert.deepEqual(codes(results), [3]);
  assert.match(results[0]?.status?.message ?? '', /^mode: 9 is unknown/);
  assert.equal((await client.countBundles({})).count, 2);
});

test('a bundle that is deleted while entries begin to federate with it never leaves one behind that does', async (t) => {
  const on = await stage(t);
  const client = on.operator(Bundle);
  for (let round = 0; round < 10; round += 1) {
    await client.batchSetFederatedBundle({ bundle: [foreign] });
    const wanted = { ...entry(`/r/${round}`, PARENT), federatesWith: ['other.org'] };
    const [made, removed] = await Promise.all([
      on.operator(Entry).batchCreateEntry({ entries: [wanted] }),
      client.batchDeleteFederatedBundle({ trustDomains: ['other.org'], mode: 0 }),
    ]);
    const outcome = [...codes(made.results), ...codes(removed.results)].join();
    assert.ok(['0,9', '9,0'].includes(outcome), outcome);
    await on
      .operator(Entry)
      .batchDeleteEntry({ ids: made.results.map(({ entry: one }) => one?.id ?? 'none') });
  }
});

test('lists that are too long are refused by their name', async (t) => {
  const on = await stage(t);
  const client = on.operator(Bundle);
  const many = Array.from({ length: 201 }, (_, at) => `d${at}.org`);
  await refused(
    client.batchDeleteFederatedBundle({ trustDomains: many }),
    'INVALID_ARGUMENT',
    /^trust_domains: 201 items/,
  );
  await refused(
    client.batchSetFederatedBundle({ bundle: many.map((trustDomain) => ({ trustDomain })) }),
    'INVALID_ARGUMENT',
    /^bundle: 201/,
  );
  await refused(on.anonymous(Agent).listAgents({}), 'PERMISSION_DENIED', /may not call/);
});
