import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { TouchmarkError } from '../../src/errors.js';
import { type AttestCall, attestAgent } from '../../src/server/attest.js';
import type { AttestationRequest, NodeAttestor } from '../../src/server/node-attestors/contract.js';
import { makeSpiffeId } from '../../src/spiffe/id.js';
import {
  type AttestAgentRequest,
  AttestAgentRequestSchema,
} from '../../src/wire/gen/spire/server/agent_pb.js';
import { attestWorld, domain, keyOf, paramsOf, serverLeaf } from '../fakes/attest-world.js';
import { type AttestingAgent, newCsr } from '../fakes/chip-agent.js';
import { settle } from '../fakes/manual-clock.js';
import { queue } from '../support/queue.js';
import { rejectsCode } from '../support/rejects-async.js';

const nodeId = makeSpiffeId(domain, '/spire/agent/test/one');

/** An attestor that asks `rounds` questions and believes every answer. */
function credulous(rounds: number, seen: AttestationRequest[] = [], then = async () => {}): NodeAttestor {
  return {
    type: 'test',
    async attest(request) {
      seen.push(request);
      for (let round = 0; round < rounds; round += 1) await request.challenge(Uint8Array.of(round));
      await then();
      return {
        nodeId,
        selectors: [{ type: 'test', value: 'a' }],
        canReattest: true,
        writes: [],
        conditions: [],
      };
    },
  };
}

function agent(change: Partial<AttestingAgent> = {}): AttestingAgent {
  const answer = async (challenge: Uint8Array) => challenge;
  return { type: 'test', payload: Uint8Array.of(1, 2, 3), csr: newCsr(), answer, ...change };
}

describe('AttestAgent', () => {
  it('hands the attestor the bytes of this conversation and certifies the key of its one request', async () => {
    const seen: AttestationRequest[] = [];
    await using world = await attestWorld({ attestors: [credulous(2, seen)] });
    const one = agent();
    await world.attest(one, { address: '192.0.2.7' });
    const [request] = seen;
    assert.deepEqual(Buffer.from(request?.payload ?? []), Buffer.from([1, 2, 3]));
    assert.deepEqual(Buffer.from(request?.csr ?? []), Buffer.from(one.csr));
    assert.deepEqual([request?.serverLeaf, request?.address], [serverLeaf, '192.0.2.7']);
    assert.deepEqual(world.certified.map(Buffer.from), [Buffer.from(keyOf(one))]);
  });

  it('writes the node with its number, and says so', async () => {
    await using world = await attestWorld({ attestors: [credulous(0)] });
    await world.attest(agent());
    await world.attest(agent());
    const node = world.registry.node(nodeId);
    assert.deepEqual(
      [node?.attestationNumber, node?.serial, node?.nextSerial, node?.banned, node?.canReattest],
      [2, '0002', '', false, true],
    );
    const expected = { name: 'node_attested', nodeId, type: 'test', address: '192.0.2.1' };
    assert.deepEqual(world.events, [
      { ...expected, serial: '0001', attestationNumber: 1 },
      { ...expected, serial: '0002', attestationNumber: 2 },
    ]);
  });

  it('keeps the agent version that was posted', async () => {
    await using world = await attestWorld({ attestors: [credulous(0)] });
    await world.attest(agent());
    const node = world.registry.node(nodeId);
    assert.ok(node);
    await world.store.commit([{ kind: 'node', key: nodeId, value: { ...node, agentVersion: '1.2.3' } }]);
    await world.attest(agent());
    assert.equal(world.registry.node(nodeId)?.agentVersion, '1.2.3');
  });

  it('refuses a banned node before anything is signed', async () => {
    await using world = await attestWorld({ attestors: [credulous(0)] });
    await world.attest(agent());
    const node = world.registry.node(nodeId);
    assert.ok(node);
    await world.store.commit([{ kind: 'node', key: nodeId, value: { ...node, banned: true } }]);
    await rejectsCode('agent_banned', /one is banned$/, world.attest(agent()));
    assert.equal(world.certified.length, 1);
  });

  it('tells an attestor that is off from one that does not exist', async () => {
    await using world = await attestWorld();
    const off = world.attest(agent({ type: 'x509pop' }));
    await rejectsCode('attestor_not_configured', /^this server does not accept the attestor "x509pop"$/, off);
    await rejectsCode(
      'attestor_unknown',
      /^there is no attestor "x+"$/,
      world.attest(agent({ type: 'x'.repeat(999) })),
    );
  });

  it('bounds payload, request, answers and rounds', async () => {
    await using world = await attestWorld({ attestors: [credulous(257)] });
    const large = (bytes: number) => new Uint8Array(bytes);
    await rejectsCode(
      'attestation_too_large',
      /^the attestation payload has 262145 bytes/,
      world.attest(agent({ payload: large(262_145) })),
    );
    await rejectsCode(
      'attestation_too_large',
      /^the certificate request has 16385 bytes/,
      world.attest(agent({ csr: large(16_385) })),
    );
    const answer = async () => large(262_145);
    await rejectsCode(
      'attestation_too_large',
      /^the answer to the challenge has 262145 bytes/,
      world.attest(agent({ answer })),
    );
    await rejectsCode('attestation_request_invalid', /^more than 256 challenges$/, world.attest(agent()));
  });

  it('takes larger answers where an attestor asks for logs, but not without end', async () => {
    const most = 1000 * 1024;
    const pulling: NodeAttestor = {
      type: 'test',
      async attest(request) {
        for (;;) await request.challenge(Uint8Array.of(1), 2 * most);
      },
    };
    await using world = await attestWorld({ attestors: [pulling] });
    const answers = (bytes: number) => world.attest(agent({ answer: async () => new Uint8Array(bytes) }));
    await rejectsCode(
      'attestation_too_large',
      /^the answer to the challenge has 1024001 bytes/,
      answers(most + 1),
    );
    await rejectsCode(
      'attestation_too_large',
      /^the answers have more than 75497472 bytes together$/,
      answers(most),
    );
  });

  it('writes nothing and tells nobody when the attestor refuses', async () => {
    const refuse = () => Promise.reject(new TouchmarkError('x509pop_refused', 'no'));
    await using world = await attestWorld({ attestors: [credulous(1, [], refuse)] });
    await rejectsCode('x509pop_refused', /^no$/, world.attest(agent()));
    assert.deepEqual([world.store.revision, world.events.length, world.certified.length], [0, 0, 0]);
  });

  it('answers Aborted when the node was changed between look and commit', async () => {
    await using world = await attestWorld({ attestors: [credulous(0)] });
    const both = await Promise.allSettled([world.attest(agent()), world.attest(agent())]);
    const lost = both.filter((one) => one.status === 'rejected');
    assert.equal(lost.length, 1);
    const error = await rejectsCode(
      'attestation_raced',
      /was changed while it attested$/,
      Promise.reject(lost[0]?.reason),
    );
    assert.equal(error.rpc, 'ABORTED');
  });
});

describe('an agent that does not answer', () => {
  async function silent(messages: AttestAgentRequest[], call: Partial<AttestCall> = {}) {
    const world = await attestWorld({ attestors: [credulous(1)] });
    const requests = queue<AttestAgentRequest>();
    for (const message of messages) requests.push(message);
    const whole = { serverLeaf, address: '', signal: new AbortController().signal, ...call };
    const stream = attestAgent(world.deps, requests, whole);
    const ended = (async () => {
      for await (const _ of stream);
    })();
    ended.catch(() => {});
    await settle();
    return { world, requests, ended };
  }

  it('is given up after the time that an answer may take', async () => {
    const { world, ended } = await silent([paramsOf(agent())]);
    world.clock.advance(29_999);
    await settle();
    world.clock.advance(1);
    await rejectsCode('attestation_timeout', /^no answer came within 30 seconds$/, ended);
    assert.equal(world.clock.timers, 0);
  });

  it('is given up although it never said anything', async () => {
    const { world, ended } = await silent([]);
    world.clock.advance(30_000);
    await rejectsCode('attestation_timeout', /30 seconds$/, ended);
  });

  it('is given up when its call ends', async () => {
    const controller = new AbortController();
    const { world, ended } = await silent([paramsOf(agent())], { signal: controller.signal });
    controller.abort();
    await rejectsCode('attestation_timeout', /^the call ended before its answer came$/, ended);
    assert.equal(world.clock.timers, 0);
  });

  it('is told so when it half-closes too early', async () => {
    const { requests, ended } = await silent([paramsOf(agent())]);
    requests.end();
    await rejectsCode('attestation_request_invalid', /ended the call before it was over$/, ended);
  });

  it('is refused out of turn', async () => {
    const value = Uint8Array.of(1);
    const early = await silent([
      create(AttestAgentRequestSchema, { step: { case: 'challengeResponse', value } }),
    ]);
    await rejectsCode('attestation_request_invalid', /first message does not hold params$/, early.ended);
    const twice = await silent([paramsOf(agent()), paramsOf(agent())]);
    await rejectsCode('attestation_request_invalid', /not followed by its answer$/, twice.ended);
  });
});
