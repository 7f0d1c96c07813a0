import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import type { TpmAttestationConfig } from '../../src/config/server-config.js';
import { type RpcChannel, tlsChannel } from '../../src/rpc/channel.js';
import { createRpcClient } from '../../src/rpc/client.js';
import { RpcError } from '../../src/rpc/rpc-error.js';
import { Agent, AttestAgentRequestSchema } from '../../src/wire/gen/spire/server/agent_pb.js';
import { Bundle } from '../../src/wire/gen/spire/server/bundle_pb.js';
import { type ServerMessage, Session } from '../../src/wire/gen/touchmark/session/v1/session_pb.js';
import { buildCsr } from '../../src/x509/csr.js';
import { paramsOf, tpmConfig } from '../fakes/attest-world.js';
import { type ChipAgentOptions, chipAgent } from '../fakes/chip-agent.js';
import { testVendor } from '../fakes/chip-world.js';
import type { SoftwareTpm } from '../fakes/software-tpm.js';
import {
  agentChannel,
  startTestServer,
  type TestServer,
  type TestServerOptions,
} from '../fakes/test-server.js';

const channels = new Set<RpcChannel>();

/** Closed by `closeChannels`, however its test ended: an open channel keeps the process alive. */
export function track(channel: RpcChannel): RpcChannel {
  channels.add(channel);
  return channel;
}

export function closeChannels(): void {
  for (const channel of channels) channel.close();
  channels.clear();
}

/** A whole server that knows the test vendor's chips, over real sockets. */
export async function chipServer(
  tpm: Partial<TpmAttestationConfig> = {},
  config: TestServerOptions['config'] = {},
): Promise<TestServer> {
  const directory = await mkdtemp(join(tmpdir(), 'tm-anchors-'));
  try {
    const anchors = join(directory, 'vendor.pem');
    await writeFile(anchors, testVendor.pem);
    const attestation = { joinToken: {}, tpm: { ...tpmConfig, anchorPaths: [anchors], ...tpm } };
    return await startTestServer({ config: { attestation, ...config } });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** A node that attested with a chip, and its channel. */
export interface WireNode {
  readonly id: string;
  readonly channel: RpcChannel;
}

/** A connection as nobody, made already: its server's leaf is known before the first message. */
async function connected(server: TestServer): Promise<{ channel: RpcChannel; leaf: Uint8Array }> {
  let leaf: Uint8Array = new Uint8Array();
  const verify = (chain: readonly Uint8Array[]) => {
    leaf = chain[0] ?? leaf;
  };
  const channel = tlsChannel({ host: '127.0.0.1', port: server.port, verify });
  await createRpcClient(Bundle, channel).getBundle({});
  return { channel, leaf };
}

export async function leafOf(server: TestServer): Promise<Uint8Array> {
  const { channel, leaf } = await connected(server);
  channel.close();
  return leaf;
}

/** Attests over the wire; a hostile agent departs as its options say. */
export async function attestOverWire(
  server: TestServer,
  chip: SoftwareTpm,
  options: Partial<ChipAgentOptions> = {},
): Promise<WireNode> {
  const { channel, leaf } = await connected(server);
  const key = newNodeKey();
  const agent = await chipAgent(chip, { serverLeaf: leaf, csr: buildCsr({ key }), ...options });
  const stream = createRpcClient(Agent, channel).attestAgent();
  try {
    await stream.send(paramsOf(agent));
    for await (const { step } of stream.responses) {
      if (step.case === 'challenge') {
        const value = await agent.answer(step.value);
        await stream.send(create(AttestAgentRequestSchema, { step: { case: 'challengeResponse', value } }));
      }
      if (step.case !== 'result') continue;
      const { id, certChain: chain = [] } = step.value.svid ?? {};
      return {
        id: `spiffe://${id?.trustDomain}${id?.path}`,
        channel: track(agentChannel(server, { key, chain })),
      };
    }
    throw new Error('the attestation ended without a result');
  } finally {
    stream.cancel();
    channel.close();
  }
}

function newNodeKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
}

/** Asserts that a call fails with our error code and a message that matches, as its client sees it. */
export async function rejectsRpc(code: string, message: RegExp, task: Promise<unknown>): Promise<RpcError> {
  const error = await task.then(
    (value) => assert.fail(`expected ${code}, but it answered ${JSON.stringify(value)}`),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof RpcError, `expected ${code}, but it was ${String(error)}`);
  assert.equal(error.code, code, error.message);
  assert.match(error.message, message);
  return error;
}

/** Opens a session and collects what it is sent. */
export function openSession({ channel }: WireNode) {
  const stream = createRpcClient(Session, channel).open();
  const received: ServerMessage['message'][] = [];
  const ended = (async () => {
    await stream.send({ message: { case: 'hello', value: {} } });
    for await (const { message } of stream.responses) received.push(message);
  })().catch((error: unknown) => error);
  const cases = () => received.map((message) => message.case);
  return { stream, received, cases, ended };
}
