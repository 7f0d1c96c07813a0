import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { createRpcClient } from '../../src/rpc/client.js';
import { isRpcError } from '../../src/rpc/rpc-error.js';
import { parseSpiffeId } from '../../src/spiffe/id.js';
import { Agent, AttestAgentRequestSchema } from '../../src/wire/gen/spire/server/agent_pb.js';
import { domain, paramsOf } from '../fakes/attest-world.js';
import { attacks, prepare } from '../fakes/attestation-attacks.js';
import { chipAgent, newCsr } from '../fakes/chip-agent.js';
import { genuine, onlyKey } from '../fakes/chip-world.js';
import { agentChannel, operatorChannel, type TestServer } from '../fakes/test-server.js';
import {
  attestOverWire,
  chipServer,
  closeChannels,
  leafOf,
  rejectsRpc,
  track,
  type WireNode,
} from './wire-attester.js';

after(closeChannels);

const nothing = { stop: async () => {} };

describe('a hostile agent on the wire', { timeout: 120_000 }, () => {
  let server: TestServer;
  before(async () => {
    server = await chipServer();
  });
  after(() => (server ?? nothing).stop());

  for (const attack of attacks) {
    it(`is refused with ${attack.name}`, async () => {
      const { chip, options } = await prepare(attack);
      await rejectsRpc(attack.code, attack.message, attestOverWire(server, chip, options));
      assert.equal(server.context.registry.nodeCount, 0);
    });
  }

  it('is refused when it relays the whole conversation of another server', async () => {
    await using other = await chipServer();
    const chip = genuine();
    // The victim speaks with `other` and sees its leaf; the relay hands every byte on to `server`.
    const task = attestOverWire(server, chip, { serverLeaf: await leafOf(other) });
    await rejectsRpc('activation_proof', /another connection$/, task);
  });

  it('is refused with a message larger than gRPC takes, and the server goes on', async () => {
    const payload = new Uint8Array(5 * 1024 * 1024);
    const task = attestOverWire(server, genuine(), { payload: () => payload });
    await assert.rejects(task, (error) => isRpcError(error, 'RESOURCE_EXHAUSTED'));
    await attestOverWire(server, genuine());
  });

  it('is refused out of turn', async () => {
    const channel = track(agentChannel(server));
    const run = async (...messages: Parameters<typeof create<typeof AttestAgentRequestSchema>>[1][]) => {
      const stream = createRpcClient(Agent, channel).attestAgent();
      for (const message of messages)
        await stream.send(create(AttestAgentRequestSchema, message)).catch(() => {});
      for await (const _ of stream.responses);
    };
    const answer = { step: { case: 'challengeResponse', value: new Uint8Array(3) } } as const;
    const agent = await chipAgent(genuine(), { serverLeaf: new Uint8Array() });
    await rejectsRpc('attestation_request_invalid', /first message does not hold params$/, run(answer));
    await rejectsRpc(
      'attestation_request_invalid',
      /lack the attestation data/,
      run({ step: { case: 'params', value: {} } }),
    );
    await rejectsRpc(
      'attestation_request_invalid',
      /not followed by its answer$/,
      run(paramsOf(agent), paramsOf(agent)),
    );
    const broken = {
      ...agent,
      csr: newCsr().map((byte, at, all) => (at === all.length - 1 ? byte ^ 1 : byte)),
    };
    await rejectsRpc('csr_invalid', /signature of the signing request is not good$/, run(paramsOf(broken)));
    await rejectsRpc(
      'attestor_unknown',
      /^there is no attestor "sshpop"$/,
      run(paramsOf({ ...agent, type: 'sshpop' })),
    );
    const refused = run(paramsOf({ ...agent, type: 'x509pop' }));
    await rejectsRpc('attestor_not_configured', /does not accept the attestor "x509pop"$/, refused);
    channel.close();
  });

  it('is refused as the second of two that race', async () => {
    const chip = genuine();
    const first = await attestOverWire(server, chip);
    let inner: Promise<WireNode> | undefined;
    const task = attestOverWire(server, chip, {
      evidence: async (good) => {
        inner ??= attestOverWire(server, chip);
        await inner;
        return good;
      },
    });
    await rejectsRpc('attestation_raced', /was changed while it attested$/, task);
    assert.equal(server.context.registry.node(parseSpiffeId(first.id))?.attestationNumber, 2);
  });

  it('does not come back under the other key of a banned chip', async () => {
    const chip = genuine({ templates: ['p256-l2', 'rsa2048-l1'] });
    const { id } = await attestOverWire(server, chip);
    const operator = track(operatorChannel(server));
    const path = id.slice('spiffe://example.org'.length);
    await createRpcClient(Agent, operator).banAgent({ id: { trustDomain: domain, path } });
    operator.close();
    for (const at of [0, 1]) {
      await rejectsRpc(
        'host_banned',
        /is banned: uid \d+ banned it$/,
        attestOverWire(server, chip, { hello: onlyKey(at) }),
      );
    }
  });
});
