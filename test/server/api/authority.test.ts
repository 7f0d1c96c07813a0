import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RpcClient } from '../../../src/rpc/client.js';
import { Agent } from '../../../src/wire/gen/spire/server/agent_pb.js';
import { Bundle } from '../../../src/wire/gen/spire/server/bundle_pb.js';
import { Entry } from '../../../src/wire/gen/spire/server/entry_pb.js';
import { LocalAuthority } from '../../../src/wire/gen/spire/server/localauthority_pb.js';
import { SVID } from '../../../src/wire/gen/spire/server/svid_pb.js';
import { Session } from '../../../src/wire/gen/touchmark/session/v1/session_pb.js';
import { buildCsr } from '../../../src/x509/csr.js';
import { readCertificate } from '../../../src/x509/read-certificate.js';
import { until } from '../../fakes/manual-clock.js';
import { agentChannel, newKey } from '../../fakes/test-server.js';
import { entry, reasonOf, refused, stage, wireId } from './support.js';

test('an X.509 authority is prepared, activated, tainted and revoked', async (t) => {
  const on = await stage(t);
  const client = on.operator(LocalAuthority);
  const first = (await client.getX509AuthorityState({})).active?.authorityId ?? '';
  assert.match(first, /^[0-9a-f]{40}$/);
  const { preparedAuthority } = await client.prepareX509Authority({});
  const next = preparedAuthority?.authorityId ?? '';
  const state = await client.getX509AuthorityState({});
  assert.deepEqual(
    [state.active?.authorityId, state.prepared?.authorityId, state.old],
    [first, next, undefined],
  );
  assert.ok(Number(state.prepared?.expiresAt) > Date.now() / 1000);
  assert.equal(
    (await client.activateX509Authority({ authorityId: next })).activatedAuthority?.authorityId,
    next,
  );
  const turned = await client.getX509AuthorityState({});
  assert.deepEqual([turned.active?.authorityId, turned.old?.authorityId], [next, first]);
  assert.equal(
    (await client.taintX509Authority({ authorityId: first })).taintedAuthority?.authorityId,
    first,
  );
  const tainted = await on.operator(Bundle).getBundle({});
  assert.deepEqual(tainted.x509Authorities.map((one) => one.tainted).toSorted(), [false, true]);
  assert.equal(
    (await client.revokeX509Authority({ authorityId: first })).revokedAuthority?.authorityId,
    first,
  );
  assert.equal((await on.operator(Bundle).getBundle({})).x509Authorities.length, 1);
});

test('a JWT authority goes the same way', async (t) => {
  const on = await stage(t);
  const client = on.operator(LocalAuthority);
  const first = (await client.getJWTAuthorityState({})).active?.authorityId ?? '';
  const next = (await client.prepareJWTAuthority({})).preparedAuthority?.authorityId ?? '';
  await client.activateJWTAuthority({ authorityId: next });
  await client.taintJWTAuthority({ authorityId: first });
  await client.revokeJWTAuthority({ authorityId: first });
  const { jwtAuthorities } = await on.operator(Bundle).getBundle({});
  assert.deepEqual(
    jwtAuthorities.map(({ keyId }) => keyId),
    [next],
  );
  const id = { trustDomain: 'example.org', path: '/x' };
  const { svid } = await on.operator(SVID).mintJWTSVID({ id, audience: ['a'] });
  const header = JSON.parse(Buffer.from(svid?.token.split('.')[0] ?? '', 'base64url').toString());
  assert.equal(header.kid, next);
});

test('what is missing, unknown or not there to be changed is refused', async (t) => {
  const on = await stage(t);
  const client = on.operator(LocalAuthority);
  await refused(client.activateX509Authority({}), 'INVALID_ARGUMENT', /^authority_id is empty/);
  await refused(client.taintX509UpstreamAuthority({}), 'INVALID_ARGUMENT', /^subject_key_id is empty/);
  await assert.rejects(client.activateX509Authority({ authorityId: 'ff' }));
  await assert.rejects(client.taintJWTAuthority({ authorityId: 'ff' }));
  await assert.rejects(client.taintX509UpstreamAuthority({ subjectKeyId: 'ff' }));
  await assert.rejects(client.revokeX509UpstreamAuthority({ subjectKeyId: 'ff' }));
  const active = (await client.getX509AuthorityState({})).active?.authorityId ?? '';
  await assert.rejects(
    client.revokeX509Authority({ authorityId: active }),
    'the active authority is not revoked',
  );
});

test('WIT authorities are Unimplemented, with a sentence', async (t) => {
  const on = await stage(t);
  const client = on.operator(LocalAuthority);
  const calls = [
    'getWITAuthorityState',
    'prepareWITAuthority',
    'activateWITAuthority',
    'taintWITAuthority',
    'revokeWITAuthority',
  ] as const;
  for (const method of calls) await refused(client[method]({}), 'UNIMPLEMENTED', /has no WIT authorities/);
});

/** Lets another authority sign; gives the ID of the one that did. */
async function rotate(authority: RpcClient<typeof LocalAuthority>): Promise<string> {
  const old = (await authority.getX509AuthorityState({})).active?.authorityId ?? '';
  const { preparedAuthority } = await authority.prepareX509Authority({});
  await authority.activateX509Authority({ authorityId: preparedAuthority?.authorityId ?? '' });
  return old;
}

test('under a tainted authority an agent may renew and learn, but nothing is signed for it; once renewed, all is well', async (t) => {
  const on = await stage(t);
  const agent = await on.agent();
  const [entryId = ''] = await on.entries(entry('/w', agent.id));
  const authority = on.operator(LocalAuthority);
  const old = await rotate(authority);
  const csr = buildCsr({ key: newKey() });
  const sign = (who: typeof agent) => on.as(who, SVID).batchNewX509SVID({ params: [{ entryId, csr }] });
  assert.equal((await sign(agent)).results[0]?.status?.code, 0);
  await authority.taintX509Authority({ authorityId: old });
  await refused(sign(agent), 'PERMISSION_DENIED', /tainted authority/);
  await on.as(agent, Entry).getAuthorizedEntries({});
  const key = newKey();
  const { svid } = await on.as(agent, Agent).renewAgent({ params: { csr: buildCsr({ key }) } });
  const chain = svid?.certChain ?? [];
  const renewed = { ...agent, key, chain, channel: agentChannel(on.server, { key, chain }) };
  on.onEnd(() => renewed.channel.close());
  assert.equal((await sign(renewed)).results[0]?.status?.code, 0);
});

test('a revoked authority ends what was connected under it: calls, and the session that is open', async (t) => {
  const on = await stage(t);
  const agent = await on.agent();
  const session = on.as(agent, Session).open();
  await session.send({ message: { case: 'hello', value: { agentVersion: 'test' } } });
  const messages = session.responses[Symbol.asyncIterator]();
  await messages.next();
  const authority = on.operator(LocalAuthority);
  const old = await rotate(authority);
  await authority.taintX509Authority({ authorityId: old });
  await authority.revokeX509Authority({ authorityId: old });
  await refused(on.as(agent, Entry).getAuthorizedEntries({}), 'PERMISSION_DENIED', /may not call/);
  await on.as(agent, Bundle).getBundle({});
  const end = (async () => {
    for (let next = await messages.next(); next.done !== true; next = await messages.next());
  })();
  await assert.rejects(end);
});

test('the server shows a new SVID to new connections when another authority signs', async (t) => {
  const on = await stage(t);
  const leaf = () => readCertificate(on.server.context.serverSvid.chain()[0] ?? new Uint8Array());
  const before = leaf();
  assert.deepEqual(before.uris, ['spiffe://example.org/spire/server']);
  await rotate(on.operator(LocalAuthority));
  await until('the server has a new SVID', () => leaf().serial !== before.serial);
  assert.notDeepEqual(leaf().authorityKeyId, before.authorityKeyId);
  const channel = agentChannel(on.server);
  on.onEnd(() => channel.close());
  const stream = on.as({ channel }, Agent).attestAgent();
  await stream.send({ step: { case: 'challengeResponse', value: Buffer.from('x') } });
  await assert.rejects(stream.responses[Symbol.asyncIterator]().next());
  assert.ok(on.server.lines.some(({ event }) => event === 'server_svid_rotated'));
});

test('an administrator by SVID works over TLS with the role that it has', async (t) => {
  const on = await stage(t, {
    config: { administrators: [{ spiffeId: 'spiffe://example.org/eye', role: 'viewer' }] },
  });
  const agent = await on.agent();
  const admin = await on.workload(agent, { spiffeId: wireId('spiffe://example.org/boss'), admin: true });
  const eye = await on.workload(agent, { spiffeId: wireId('spiffe://example.org/eye') });
  const plain = await on.workload(agent, { spiffeId: wireId('spiffe://example.org/plain') });
  assert.equal((await on.as(admin, Agent).listAgents({})).agents.length, 1);
  await on.as(admin, Agent).createJoinToken({ ttl: 5 });
  await on.as(eye, Agent).listAgents({});
  await refused(on.as(eye, Agent).createJoinToken({ ttl: 5 }), 'PERMISSION_DENIED', /needs to be admin/);
  await refused(on.as(plain, Agent).listAgents({}), 'PERMISSION_DENIED', /needs to be viewer or approver/);
  const error = await refused(
    on.as(plain, Entry).getAuthorizedEntries({}),
    'PERMISSION_DENIED',
    /needs to be an agent/,
  );
  assert.equal(reasonOf(error), undefined);
  const ids = (
    await on.operator(Entry).listEntries({ filter: { bySpiffeId: wireId('spiffe://example.org/boss') } })
  ).entries.map(({ id }) => id);
  await on.operator(Entry).batchDeleteEntry({ ids });
  await refused(on.as(admin, Agent).listAgents({}), 'PERMISSION_DENIED', /may not call/);
});
