import { TouchmarkError } from '../../errors.js';
import type { RpcChannel } from '../../rpc/channel.js';
import { createRpcClient } from '../../rpc/client.js';
import { isRpcError } from '../../rpc/rpc-error.js';
import { Agent } from '../../wire/gen/spire/server/agent_pb.js';
import { Bundle as BundleService } from '../../wire/gen/spire/server/bundle_pb.js';
import { Entry as EntryService } from '../../wire/gen/spire/server/entry_pb.js';
import { type BatchNewX509SVIDResponse_Result, SVID } from '../../wire/gen/spire/server/svid_pb.js';
import { Session } from '../../wire/gen/touchmark/session/v1/session_pb.js';
import type { ServerApi, SignResult } from './api.js';
import { type Distrust, fromServer } from './errors.js';
import { bundleFromWire } from './from-wire.js';
import { openSession } from './grpc-session.js';
import { syncEntries } from './grpc-sync-entries.js';

/** The server's RPCs over one channel. */
export function grpcServerApi(channel: RpcChannel, agentVersion: string, distrust: Distrust): ServerApi {
  const agent = createRpcClient(Agent, channel);
  const bundles = createRpcClient(BundleService, channel);
  const entries = createRpcClient(EntryService, channel);
  const svids = createRpcClient(SVID, channel);
  const session = createRpcClient(Session, channel);
  const told = async <T>(call: () => Promise<T>): Promise<T> => {
    try {
      return await call();
    } catch (error) {
      throw fromServer(error, distrust);
    }
  };
  return {
    renewAgent: (csr, signal) =>
      told(async () => {
        const { svid } = await agent.renewAgent({ params: { csr } }, { signal });
        if (svid === undefined) throw empty('renewed SVID');
        return svid.certChain;
      }),
    openSession: (hello, signal) => openSession(session, { ...hello, agentVersion, distrust }, signal),
    syncEntries: (held, signal) => told(() => syncEntries(entries, held, signal)),
    bundle: (signal) => told(async () => bundleFromWire(await bundles.getBundle({}, { signal }))),
    federatedBundle: (trustDomain, signal) =>
      told(async () => {
        try {
          return bundleFromWire(await bundles.getFederatedBundle({ trustDomain }, { signal }));
        } catch (error) {
          if (isRpcError(error, 'NOT_FOUND')) return undefined;
          throw error;
        }
      }),
    signX509: (requests, signal) =>
      told(async () => {
        const params = requests.map(({ entryId, csr }) => ({ entryId, csr }));
        const { results } = await svids.batchNewX509SVID({ params }, { signal });
        return results.map(resultOf);
      }),
    signJwt: (entryId, audience, signal) =>
      told(async () => {
        const { svid } = await svids.newJWTSVID({ entryId, audience: [...audience] }, { signal });
        if (svid === undefined) throw empty('token');
        return svid.token;
      }),
  };
}

function resultOf({ status, svid }: BatchNewX509SVIDResponse_Result): SignResult {
  if (status !== undefined && status.code !== 0) {
    return {
      error: new TouchmarkError('server_refused', `the server says: ${status.message.slice(0, 500)}`),
    };
  }
  return svid === undefined ? { error: empty('X.509-SVID') } : { chain: svid.certChain };
}

function empty(what: string): TouchmarkError {
  return new TouchmarkError('server_answer_invalid', `the server sent an answer without a ${what}`);
}
