import { TouchmarkError } from '../../errors.js';
import type { RpcChannel } from '../../rpc/channel.js';
import { createRpcClient, type RpcClient } from '../../rpc/client.js';
import { isRpcError } from '../../rpc/rpc-error.js';
import { Agent } from '../../wire/gen/spire/server/agent_pb.js';
import { Bundle as BundleService } from '../../wire/gen/spire/server/bundle_pb.js';
import { Entry as EntryService } from '../../wire/gen/spire/server/entry_pb.js';
import { type BatchNewX509SVIDResponse_Result, SVID } from '../../wire/gen/spire/server/svid_pb.js';
import { Session } from '../../wire/gen/touchmark/session/v1/session_pb.js';
import type { ServerApi, SignRequest, SignResult } from './api.js';
import { type Distrust, fromServer, oneLine } from './errors.js';
import { receivedBundle } from './from-wire.js';
import { openSession } from './grpc-session.js';
import { syncEntries } from './grpc-sync-entries.js';

/** The server's RPCs over one channel. */
export function grpcServerApi(channel: RpcChannel, agentVersion: string, distrust: Distrust): ServerApi {
  const agent = createRpcClient(Agent, channel);
  const bundles = createRpcClient(BundleService, channel);
  const entries = createRpcClient(EntryService, channel);
  const svids = createRpcClient(SVID, channel);
  const session = createRpcClient(Session, channel);
  const told = async <T>(call: Promise<T>): Promise<T> => {
    try {
      return await call;
    } catch (error) {
      throw fromServer(error, distrust);
    }
  };
  return {
    postStatus: (sequence, signal) => told(postStatus(agent, { agentVersion, sequence }, signal)),
    renewAgent: (csr, signal) => told(renewAgent(agent, csr, signal)),
    openSession: (hello, signal) => openSession(session, { ...hello, agentVersion, distrust }, signal),
    syncEntries: (held, signal) => told(syncEntries(entries, held, signal)),
    bundle: (signal) => told(bundles.getBundle({}, { signal }).then(receivedBundle)),
    federatedBundle: (trustDomain, signal) => told(federatedBundle(bundles, trustDomain, signal)),
    signX509: (requests, signal) => told(signX509(svids, requests, signal)),
    signJwt: (entryId, audience, signal) => told(signJwt(svids, entryId, audience, signal)),
  };
}

async function postStatus(
  agent: RpcClient<typeof Agent>,
  { agentVersion, sequence }: { readonly agentVersion: string; readonly sequence: bigint },
  signal: AbortSignal,
): Promise<void> {
  await agent.postStatus({ agentVersion, currentBundleSerial: sequence }, { signal });
}

async function renewAgent(
  agent: RpcClient<typeof Agent>,
  csr: Uint8Array,
  signal: AbortSignal,
): Promise<readonly Uint8Array[]> {
  const { svid } = await agent.renewAgent({ params: { csr } }, { signal });
  if (svid === undefined) throw empty('renewed SVID');
  return svid.certChain;
}

async function federatedBundle(
  bundles: RpcClient<typeof BundleService>,
  trustDomain: string,
  signal: AbortSignal,
): ReturnType<ServerApi['federatedBundle']> {
  try {
    return receivedBundle(await bundles.getFederatedBundle({ trustDomain }, { signal }));
  } catch (error) {
    if (isRpcError(error, 'NOT_FOUND')) return undefined;
    throw error;
  }
}

async function signX509(
  svids: RpcClient<typeof SVID>,
  requests: readonly SignRequest[],
  signal: AbortSignal,
): Promise<readonly SignResult[]> {
  const params = requests.map(({ entryId, csr }) => ({ entryId, csr }));
  const { results } = await svids.batchNewX509SVID({ params }, { signal });
  return results.map(resultOf);
}

async function signJwt(
  svids: RpcClient<typeof SVID>,
  entryId: string,
  audience: readonly string[],
  signal: AbortSignal,
): Promise<string> {
  const { svid } = await svids.newJWTSVID({ entryId, audience: [...audience] }, { signal });
  if (svid === undefined) throw empty('token');
  return svid.token;
}

function resultOf({ status, svid }: BatchNewX509SVIDResponse_Result): SignResult {
  if (status !== undefined && status.code !== 0) {
    const error = new TouchmarkError('server_refused', `the server says: ${oneLine(status.message)}`);
    return { error };
  }
  return svid === undefined ? { error: empty('X.509-SVID') } : { chain: svid.certChain };
}

function empty(what: string): TouchmarkError {
  return new TouchmarkError('server_answer_invalid', `the server sent an answer without a ${what}`);
}
