import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { joinTokenHash } from '../../../src/server/node-attestors/join-token.js';
import { type AttestWorld, attestWorld } from '../../fakes/attest-world.js';
import { type AttestingAgent, newCsr } from '../../fakes/chip-agent.js';
import { rejectsCode } from '../../support/rejects-async.js';

function withToken(token: string): AttestingAgent {
  const answer = () => Promise.reject(new Error('a token is not challenged'));
  return { type: 'join_token', payload: Buffer.from(token), csr: newCsr(), answer };
}

async function makeToken(world: AttestWorld, token: string, ttl = 600): Promise<void> {
  const hash = joinTokenHash(token);
  const expiresAt = Math.floor(world.clock.now() / 1000) + ttl;
  await world.store.commit([{ kind: 'join_token', key: hash, value: { hash, expiresAt } }]);
}

describe('the join_token attestor', () => {
  it('makes the node that the token names, once', async () => {
    await using world = await attestWorld();
    await makeToken(world, 'abc-123');
    const result = await world.attest(withToken('abc-123'));
    assert.equal(result.id, 'spiffe://example.org/spire/agent/join_token/abc-123');
    assert.equal(result.reattestable, false);
    const node = world.registry.node(result.id);
    assert.deepEqual([node?.attestationType, node?.hostId, node?.selectors], ['join_token', undefined, []]);
    assert.deepEqual(await world.store.list('join_token'), []);
    await rejectsCode(
      'join_token_invalid',
      /does not exist or was used already$/,
      world.attest(withToken('abc-123')),
    );
  });

  it('lets one of two in that use it at once', async () => {
    await using world = await attestWorld();
    await makeToken(world, 'race');
    const both = await Promise.allSettled([world.attest(withToken('race')), world.attest(withToken('race'))]);
    assert.deepEqual(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
    const lost = both.find((one) => one.status === 'rejected');
    assert.ok(['attestation_raced', 'join_token_invalid'].includes(lost?.reason.code));
    assert.equal(world.registry.nodeCount, 1);
  });

  it('refuses an expired token, and forgets it', async () => {
    await using world = await attestWorld();
    await makeToken(world, 'old', 60);
    world.clock.advance(60_000);
    await rejectsCode('join_token_invalid', /^the join token has expired$/, world.attest(withToken('old')));
    assert.deepEqual(await world.store.list('join_token'), []);
  });

  for (const [what, token] of [
    ['unknown', 'nobody-made-me'],
    ['empty', ''],
    ['endless', 'x'.repeat(256)],
  ] as const) {
    it(`refuses an ${what} token with one and the same sentence`, async () => {
      await using world = await attestWorld();
      await rejectsCode(
        'join_token_invalid',
        /^the join token does not exist or was used already$/,
        world.attest(withToken(token)),
      );
    });
  }

  it('keeps a token whose attestation could not be written', async () => {
    await using world = await attestWorld();
    await makeToken(world, 'kept');
    world.store.failAsFull(true);
    await rejectsCode('datastore_full', /full/, world.attest(withToken('kept')));
    world.store.failAsFull(false);
    await world.attest(withToken('kept'));
  });

  it('does not bring a banned node back by another token of the same name', async () => {
    await using world = await attestWorld();
    await makeToken(world, 'again');
    const { id } = await world.attest(withToken('again'));
    const node = world.registry.node(id);
    assert.ok(node);
    await world.store.commit([{ kind: 'node', key: id, value: { ...node, banned: true, serial: '' } }]);
    await makeToken(world, 'again');
    await rejectsCode('agent_banned', /is banned$/, world.attest(withToken('again')));
  });

  it('refuses a request whose own signature is not good', async () => {
    await using world = await attestWorld();
    await makeToken(world, 'csr');
    const agent = withToken('csr');
    const csr = agent.csr.map((byte, at, all) => (at === all.length - 1 ? byte ^ 1 : byte));
    await rejectsCode('csr_invalid', /signature .* is not good$/, world.attest({ ...agent, csr }));
    assert.equal((await world.store.list('join_token')).length, 1);
  });
});
