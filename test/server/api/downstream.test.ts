import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TouchmarkError } from '../../../src/errors.js';
import { type DownstreamDeps, downstreamCaller } from '../../../src/server/api/downstream.js';
import type { ApiCall } from '../../../src/server/api/service.js';
import type { Registry } from '../../../src/server/contract.js';
import { parseSpiffeId, type SpiffeId } from '../../../src/spiffe/id.js';
import { Agent } from '../../../src/wire/gen/spire/server/agent_pb.js';
import { Bundle } from '../../../src/wire/gen/spire/server/bundle_pb.js';
import { SVID } from '../../../src/wire/gen/spire/server/svid_pb.js';
import { buildCsr } from '../../../src/x509/csr.js';
import { readCertificate } from '../../../src/x509/read-certificate.js';
import { exportSpki } from '../../../src/x509/spki.js';
import { agentChannel, newKey } from '../../fakes/test-server.js';
import { entryOf } from '../../support/entries.js';
import { throwsCode } from '../../support/rejects.js';
import { nodeOf } from '../hosts/records.js';
import { refused, stage, wireId } from './support.js';

const now = () => Math.floor(Date.now() / 1000);

const id = parseSpiffeId('spiffe://example.org/nested');
const [good, bad] = ['good', 'bad'].map((type) => nodeOf(type));

/** Two nodes hold the entry: one that may have something and one that may not; `held` says whose the caller's serial is. */
function callerFrom(held: SpiffeId | undefined) {
  const nodes = new Map([bad, good].map((node) => [node?.id, node]));
  const registry = { nodesHolding: () => nodes.keys(), node: (name: SpiffeId) => nodes.get(name) };
  const deps: DownstreamDeps = {
    registry: registry as unknown as Registry,
    privileged: {
      isAdmin: () => false,
      downstreamEntries: (of) => (of === id ? [entryOf('e', undefined, { spiffeId: id })] : []),
      [Symbol.dispose]: () => {},
    },
    serials: { holderOf: (serial) => (serial === '40' ? held : undefined) },
    permitIssuance(node) {
      if (node.id !== good?.id) throw new TouchmarkError('node_stale', `${node.id} is stale`);
    },
  };
  return (of: SpiffeId) => {
    const svid = { id: of, serial: '40', expiresAt: 0, tainted: false, withdrawn: false };
    const caller = { via: 'tls', address: '', svid, refusal: undefined, role: undefined };
    return downstreamCaller(deps, { caller } as unknown as ApiCall);
  };
}

test('a downstream server is on the node that its SVID was issued to, and that node must be good', () => {
  assert.deepEqual(callerFrom(good?.id)(id), { id, node: good?.id });
  throwsCode('node_stale', /agent\/bad\/ab is stale/, () => callerFrom(bad?.id)(id));
});

test('of an SVID that was issued to no node nothing is known but that one of them is good', () => {
  assert.deepEqual(callerFrom(undefined)(id), { id, node: undefined });
});

test('who has no downstream entry is no downstream server', () => {
  const other = parseSpiffeId('spiffe://example.org/other');
  throwsCode('permission_denied', /no downstream entry/, () => callerFrom(good?.id)(other));
});

test('a workload with a downstream entry gets an intermediate authority, others do not', async (t) => {
  const on = await stage(t);
  const agent = await on.agent();
  const nested = await on.workload(agent, {
    spiffeId: wireId('spiffe://example.org/nested'),
    downstream: true,
  });
  const plain = await on.workload(agent, { spiffeId: wireId('spiffe://example.org/plain') });
  const csr = buildCsr({ key: newKey() });
  const answer = await on.as(nested, SVID).newDownstreamX509CA({ csr, preferredTtl: 600 });
  const ca = readCertificate(answer.caCertChain[0] ?? new Uint8Array());
  assert.equal(ca.authority, true);
  assert.deepEqual(ca.uris, ['spiffe://example.org']);
  assert.ok(ca.notAfter - now() <= 602);
  assert.equal(answer.x509Authorities.length, 1);
  await refused(
    on.as(plain, SVID).newDownstreamX509CA({ csr }),
    'PERMISSION_DENIED',
    /needs to be a downstream server/,
  );
  await refused(
    on.as(agent, SVID).newDownstreamX509CA({ csr }),
    'PERMISSION_DENIED',
    /needs to be a downstream server/,
  );
  await refused(
    on.operator(SVID).newDownstreamX509CA({ csr }),
    'PERMISSION_DENIED',
    /needs to be a downstream server/,
  );
  const { serials } = on.server.context;
  assert.equal(serials.holderOf(ca.serial, [parseSpiffeId(agent.id)]), agent.id);
  await on.operator(Agent).banAgent({ id: wireId(agent.id) });
  await refused(
    on.as(nested, SVID).newDownstreamX509CA({ csr }),
    'PERMISSION_DENIED',
    /its SVID was withdrawn/,
  );
  assert.equal(serials.isWithdrawn(ca.serial), true, 'the authority is in the feed and the CRL');
});

test('a downstream server below an alias whose SVID was minted by hand needs one node that may have something', async (t) => {
  const on = await stage(t);
  const rack = { agentPath: '/rack' };
  const [first, second] = [await on.agent(rack), await on.agent(rack)];
  const spiffeId = wireId('spiffe://example.org/nested');
  const parentId = wireId('spiffe://example.org/rack');
  const nested = await on.workload(first, { spiffeId, parentId, downstream: true });
  const key = newKey();
  const { svid } = await on
    .operator(SVID)
    .mintX509SVID({ csr: buildCsr({ key, uris: ['spiffe://example.org/nested'] }) });
  const channel = agentChannel(on.server, { key, chain: svid?.certChain ?? [] });
  on.onEnd(() => channel.close());
  const csr = buildCsr({ key: newKey() });
  const call = (from = { channel }) => on.as(from, SVID).newDownstreamX509CA({ csr });
  await call(nested);
  await call();
  await on.operator(Agent).banAgent({ id: wireId(first.id) });
  await refused(call(nested), 'PERMISSION_DENIED', /its SVID was withdrawn/);
  await call();
  await on.operator(Agent).banAgent({ id: wireId(second.id) });
  await refused(call(), 'PERMISSION_DENIED', /is banned/);
  for (const { id } of [first, second]) await on.operator(Agent).deleteAgent({ id: wireId(id) });
  await refused(call(), 'PERMISSION_DENIED', /^no agent that is attested holds the entry of .*\/nested$/);
});

test('a downstream server publishes its JWT key', async (t) => {
  const on = await stage(t);
  const agent = await on.agent();
  const nested = await on.workload(agent, {
    spiffeId: wireId('spiffe://example.org/nested'),
    downstream: true,
  });
  const client = on.as(nested, Bundle);
  const jwtAuthority = {
    keyId: 'nested-1',
    publicKey: exportSpki(newKey()),
    expiresAt: BigInt(now() + 3600),
  };
  const { jwtAuthorities } = await client.publishJWTAuthority({ jwtAuthority });
  assert.ok(jwtAuthorities.some(({ keyId }) => keyId === 'nested-1'));
  await refused(client.publishJWTAuthority({}), 'INVALID_ARGUMENT', /^jwt_authority: it is missing/);
  const bad = { ...jwtAuthority, publicKey: Buffer.from('x') };
  await refused(
    client.publishJWTAuthority({ jwtAuthority: bad }),
    'INVALID_ARGUMENT',
    /^jwt_authority\.public_key/,
  );
  await refused(client.publishWITAuthority({}), 'UNIMPLEMENTED', /WIT/);
  await on.operator(Agent).banAgent({ id: wireId(agent.id) });
  await refused(client.publishJWTAuthority({ jwtAuthority }), 'PERMISSION_DENIED', /its SVID was withdrawn/);
});
