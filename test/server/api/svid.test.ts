import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { verifyX509Svid } from '../../../src/spiffe/x509-svid.js';
import { Agent } from '../../../src/wire/gen/spire/server/agent_pb.js';
import { Entry } from '../../../src/wire/gen/spire/server/entry_pb.js';
import { SVID } from '../../../src/wire/gen/spire/server/svid_pb.js';
import { buildCsr } from '../../../src/x509/csr.js';
import { readCertificate } from '../../../src/x509/read-certificate.js';
import { exportSpki } from '../../../src/x509/spki.js';
import { newKey } from '../../fakes/test-server.js';
import { entry, refused, stage, textId, wireId } from './support.js';

const now = () => Math.floor(Date.now() / 1000);
const claimsOf = (token: string) =>
  JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());

test('an operator mints what the request names, and nothing that it must not', async (t) => {
  const on = await stage(t);
  const client = on.operator(SVID);
  const key = newKey();
  const mint = (uris: string[], dnsNames: string[] = [], ttl = 0) =>
    client.mintX509SVID({ csr: buildCsr({ key, uris, dnsNames }), ttl });
  const { svid } = await mint(['spiffe://example.org/a/b'], ['a.example.org'], 120);
  assert.equal(textId(svid?.id), 'spiffe://example.org/a/b');
  const verified = verifyX509Svid(svid?.certChain ?? [], on.server.context.authority.bundle(), now());
  assert.deepEqual(
    [verified.leaf.uris, verified.leaf.dnsNames],
    [['spiffe://example.org/a/b'], ['a.example.org']],
  );
  assert.deepEqual(Buffer.from(verified.leaf.spki), exportSpki(key));
  assert.ok(Math.abs(Number(svid?.expiresAt) - now() - 120) <= 2);
  await refused(mint([]), 'INVALID_ARGUMENT', /csr has 0 URIs/);
  await refused(
    mint(['spiffe://example.org/a', 'spiffe://example.org/b']),
    'INVALID_ARGUMENT',
    /csr has 2 URIs/,
  );
  await refused(
    mint(['spiffe://other.org/a']),
    'INVALID_ARGUMENT',
    /csr: .*not in trust domain example\.org/,
  );
  await refused(mint(['spiffe://example.org']), 'INVALID_ARGUMENT', /csr: .*no path/);
  await refused(mint(['spiffe://example.org/spire/server']), 'INVALID_ARGUMENT', /csr: .*reserved/);
  await refused(mint(['https://example.org/a']), 'INVALID_ARGUMENT', /csr: /);
  await refused(mint(['spiffe://example.org/a'], ['-bad-']), 'INVALID_ARGUMENT', /-bad-/);
  await refused(mint(['spiffe://example.org/a'], [], -5), 'INVALID_ARGUMENT', /^ttl: -5 is below zero/);
  await refused(client.mintX509SVID({}), 'INVALID_ARGUMENT', /signing request/);
});

test('an operator mints JWT-SVIDs', async (t) => {
  const on = await stage(t);
  const client = on.operator(SVID);
  const id = { trustDomain: 'example.org', path: '/m' };
  const { svid } = await client.mintJWTSVID({ id, audience: ['a', 'b'], ttl: 60 });
  const claims = claimsOf(svid?.token ?? '');
  assert.deepEqual(
    [claims.sub, claims.aud, claims.exp - claims.iat],
    ['spiffe://example.org/m', ['a', 'b'], 60],
  );
  assert.deepEqual([Number(svid?.expiresAt), Number(svid?.issuedAt)], [claims.exp, claims.iat]);
  await refused(client.mintJWTSVID({ id, audience: [] }), 'INVALID_ARGUMENT', /^audience: it is empty/);
  await refused(
    client.mintJWTSVID({ id, audience: [''] }),
    'INVALID_ARGUMENT',
    /^audience: it holds an empty string/,
  );
  await refused(client.mintJWTSVID({ audience: ['a'] }), 'INVALID_ARGUMENT', /^id: it is missing/);
  await refused(
    client.mintJWTSVID({ id: { ...id, path: '/../x' }, audience: ['a'] }),
    'INVALID_ARGUMENT',
    /^id: /,
  );
});

test('a node gets SVIDs for its entries, built from the entry and the public key alone', async (t) => {
  const on = await stage(t);
  const agent = await on.agent();
  const [entryId = ''] = await on.entries({
    ...entry('/web', agent.id),
    dnsNames: ['web.local'],
    x509SvidTtl: 90,
    hint: 'h',
  });
  const key = newKey();
  const csr = buildCsr({ key, uris: ['spiffe://example.org/other'], dnsNames: ['evil.local'] });
  const { results } = await on.as(agent, SVID).batchNewX509SVID({ params: [{ entryId, csr }] });
  assert.equal(results[0]?.status?.code, 0);
  const leaf = readCertificate(results[0]?.svid?.certChain[0] ?? new Uint8Array());
  assert.deepEqual([leaf.uris, leaf.dnsNames], [['spiffe://example.org/web'], ['web.local']]);
  assert.ok(Math.abs(leaf.notAfter - now() - 90) <= 2);
});

test('each item of a batch has its own outcome', async (t) => {
  const on = await stage(t);
  const agent = await on.agent();
  const other = await on.agent();
  const [mine = '', theirs = ''] = await on.entries(entry('/mine', agent.id), entry('/theirs', other.id));
  const csr = buildCsr({ key: newKey() });
  const bad = Buffer.from(csr);
  bad[bad.length - 1] = (bad.at(-1) ?? 0) ^ 1;
  const { results } = await on.as(agent, SVID).batchNewX509SVID({
    params: [
      { entryId: mine, csr },
      { entryId: theirs, csr },
      { entryId: 'nothing', csr },
      { entryId: '', csr },
      { entryId: mine, csr: bad },
    ],
  });
  assert.deepEqual(
    results.map(({ status }) => status?.code),
    [0, 5, 5, 3, 3],
  );
  assert.match(results[1]?.status?.message ?? '', /is unknown, or not for agent/);
  assert.ok(results.slice(1).every(({ svid }) => svid === undefined));
});

test('a batch has at least one item and at most 500', async (t) => {
  const on = await stage(t);
  const agent = await on.agent();
  const client = on.as(agent, SVID);
  await refused(client.batchNewX509SVID({ params: [] }), 'INVALID_ARGUMENT', /^params is empty/);
  const [entryId = ''] = await on.entries(entry('/w', agent.id));
  const csr = buildCsr({ key: newKey() });
  const params = Array.from({ length: 501 }, () => ({ entryId, csr }));
  await refused(
    client.batchNewX509SVID({ params }),
    'INVALID_ARGUMENT',
    /^params: 501 items are more than 500/,
  );
  const { results } = await client.batchNewX509SVID({ params: params.slice(0, 500) });
  assert.ok(results.every(({ status }) => status?.code === 0));
});

test('a node that is banned while its batch is signed gets nothing of it', async (t) => {
  const on = await stage(t);
  const agent = await on.agent();
  const [entryId = ''] = await on.entries(entry('/w', agent.id));
  const csr = buildCsr({ key: newKey() });
  await on.as(agent, Entry).getAuthorizedEntries({});
  const batch = on
    .as(agent, SVID)
    .batchNewX509SVID({ params: Array.from({ length: 500 }, () => ({ entryId, csr })) });
  const ban = new Promise<void>((resolve) => setTimeout(resolve, 15)).then(() =>
    on.server.context.nodes.ban(agent.id as never),
  );
  await Promise.all([ban, refused(batch, 'PERMISSION_DENIED', /is banned/)]);
});

test('a node gets JWT-SVIDs for its entries', async (t) => {
  const on = await stage(t);
  const agent = await on.agent();
  const jti = { ...entry('/j', agent.id), jwtSvidTtl: 45, additionalAttributes: { jwtSvidIncludeJti: true } };
  const [plain = '', withJti = ''] = await on.entries(entry('/p', agent.id), jti);
  const client = on.as(agent, SVID);
  const first = claimsOf((await client.newJWTSVID({ entryId: plain, audience: ['a'] })).svid?.token ?? '');
  assert.deepEqual(
    [first.sub, first.aud, first.jti, first.exp - first.iat],
    ['spiffe://example.org/p', ['a'], undefined, 300],
  );
  const second = claimsOf((await client.newJWTSVID({ entryId: withJti, audience: ['a'] })).svid?.token ?? '');
  assert.equal(second.exp - second.iat, 45);
  assert.match(second.jti, /^[\w-]{16,}$/);
  await refused(
    client.newJWTSVID({ entryId: 'x', audience: ['a'] }),
    'NOT_FOUND',
    /is unknown, or not for agent/,
  );
  await refused(client.newJWTSVID({ entryId: plain }), 'INVALID_ARGUMENT', /^audience: it is empty/);
  await refused(client.newJWTSVID({ audience: ['a'] }), 'INVALID_ARGUMENT', /^entry_id is empty/);
});

test('a deleted entry is signed for no longer, from its answer on', async (t) => {
  const on = await stage(t);
  const agent = await on.agent();
  const [entryId = ''] = await on.entries(entry('/w', agent.id));
  await on.as(agent, SVID).newJWTSVID({ entryId, audience: ['a'] });
  await on.operator(Entry).batchDeleteEntry({ ids: [entryId] });
  await refused(on.as(agent, SVID).newJWTSVID({ entryId, audience: ['a'] }), 'NOT_FOUND', /is unknown/);
});

test('an administrator whose host lost its identities is one no longer', async (t) => {
  const on = await stage(t);
  const agent = await on.agent();
  const admin = await on.workload(agent, { spiffeId: wireId('spiffe://example.org/admin'), admin: true });
  const mint = () =>
    on.as(admin, SVID).mintX509SVID({
      csr: buildCsr({ key: newKey(), uris: ['spiffe://example.org/minted'] }),
    });
  await mint();
  await on.operator(Agent).banAgent({ id: wireId(agent.id) });
  await refused(mint(), 'PERMISSION_DENIED', /MintX509SVID: its SVID was withdrawn/);
});

test('the subject of a request to mint is not taken over', async (t) => {
  const on = await stage(t);
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', '/dev/null'];
  const names = ['-subj', '/CN=root', '-addext', 'subjectAltName=URI:spiffe://example.org/minted'];
  const csr = execFileSync('openssl', ['req', '-new', '-outform', 'DER', ...key, ...names], {
    stdio: 'pipe',
  });
  const { svid } = await on.operator(SVID).mintX509SVID({ csr });
  const { subject } = new X509Certificate(Buffer.from(svid?.certChain[0] ?? []));
  assert.ok(!subject?.includes('root'), subject);
});

test('WIT-SVIDs are answered Unimplemented, with a sentence', async (t) => {
  const on = await stage(t);
  const agent = await on.agent();
  await refused(on.operator(SVID).mintWITSVID({}), 'UNIMPLEMENTED', /does not issue WIT-SVIDs/);
  await refused(on.as(agent, SVID).batchNewWITSVID({}), 'UNIMPLEMENTED', /does not issue WIT-SVIDs/);
});
