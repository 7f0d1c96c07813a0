import { type Clock, unixSeconds } from '../../clock.js';
import { TouchmarkError } from '../../errors.js';
import { type RpcChannel, tlsChannel } from '../../rpc/channel.js';
import { createRpcClient, type RpcClient } from '../../rpc/client.js';
import { Agent, type AttestAgentResponse_Result } from '../../wire/gen/spire/server/agent_pb.js';
import { exportPkcs8 } from '../../x509/keys.js';
import { writePem, writePemCertificates } from '../../x509/pem.js';
import type { NodeSvid } from './api.js';
import type { AnswerChallenge, AttestOpening, AttestResult, Dial, ServerChannel } from './channel.js';
import { type Distrust, fromServer } from './errors.js';
import { receivedId } from './from-wire.js';
import { grpcServerApi } from './grpc-api.js';
import type { Trust } from './trust.js';

export interface DialDeps {
  readonly host: string;
  readonly port: number;
  readonly clock: Clock;
  readonly trust: Pick<Trust, 'verifyServer'>;
  readonly agentVersion: string;
}

/** One, and one for each MiB of a log: a server that asks more often is not attesting but playing. */
const MOST_CHALLENGES = 160;
/** A whole set of entries comes in one message from SPIRE's servers. */
const MAX_RESPONSE_BYTES = 64 * 1024 * 1024;

/** Channels over TLS to one address; each connection is verified by our own rules before a byte is sent on it. */
export function createDial(deps: DialDeps): Dial {
  return (svid) => {
    let distrust: TouchmarkError | undefined;
    const verify = (chain: readonly Uint8Array[]) => {
      try {
        deps.trust.verifyServer(chain, unixSeconds(deps.clock));
        distrust = undefined;
      } catch (error) {
        if (error instanceof TouchmarkError) distrust = error;
        throw error;
      }
    };
    const channel = tlsChannel({
      host: deps.host,
      port: deps.port,
      verify,
      identity: () => (svid === undefined ? undefined : identityOf(svid)),
      maxResponseBytes: MAX_RESPONSE_BYTES,
      keepaliveMs: 20_000,
    });
    return channelOver(channel, deps.agentVersion, () => distrust);
  };
}

function identityOf({ key, chain }: NodeSvid): { keyPem: string; chainPem: string } {
  return { keyPem: writePem('PRIVATE KEY', exportPkcs8(key)), chainPem: writePemCertificates(chain) };
}

function channelOver(channel: RpcChannel, agentVersion: string, distrust: Distrust): ServerChannel {
  const client = createRpcClient(Agent, channel);
  return {
    api: grpcServerApi(channel, agentVersion, distrust),
    async attest(opening, answer, signal) {
      try {
        return await converse(client, opening, answer, signal);
      } catch (error) {
        throw fromServer(error, distrust);
      }
    },
    [Symbol.dispose]: () => channel.close(),
  };
}

async function converse(
  client: RpcClient<typeof Agent>,
  opening: AttestOpening,
  answer: AnswerChallenge,
  signal: AbortSignal,
): Promise<AttestResult> {
  const stream = client.attestAgent({ signal });
  try {
    const { type, payload, csr } = opening;
    // Not awaited: a refusal arrives as the end of the answers.
    stream
      .send({ step: { case: 'params', value: { data: { type, payload }, params: { csr } } } })
      .catch(() => {});
    let challenges = 0;
    for await (const { step } of stream.responses) {
      if (step.case === 'result') return resultOf(step.value);
      if (step.case !== 'challenge') continue;
      challenges += 1;
      if (challenges > MOST_CHALLENGES) throw senseless(`sent more than ${MOST_CHALLENGES} challenges`);
      const leaf = stream.serverLeaf();
      if (leaf === undefined) throw senseless('showed no certificate on this connection');
      const value = await answer(step.value, leaf);
      stream.send({ step: { case: 'challengeResponse', value } }).catch(() => {});
    }
    throw senseless('ended the attestation without a result');
  } finally {
    stream.closeSend();
    stream.cancel();
  }
}

function resultOf(result: AttestAgentResponse_Result): AttestResult {
  const { svid, reattestable } = result;
  if (svid === undefined) throw senseless('sent a result without an SVID');
  return { id: receivedId(svid.id), chain: svid.certChain, reattestable };
}

function senseless(what: string): TouchmarkError {
  return new TouchmarkError('server_answer_invalid', `the server ${what}`);
}
