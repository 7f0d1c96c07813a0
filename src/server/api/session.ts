import { TouchmarkError } from '../../errors.js';
import type { Session } from '../../wire/gen/touchmark/session/v1/session_pb.js';
import type { Sessions } from '../sessions/contract.js';
import type { ApiService } from './service.js';

/** `touchmark.session.v1.Session`: the stream over which a node is told of everything. */
export function sessionService(sessions: Sessions): ApiService<typeof Session> {
  return {
    async *open(requests, call) {
      const { id: nodeId } = call.node();
      const svid = call.caller.via === 'tls' ? call.caller.svid : undefined;
      if (svid === undefined) throw new TouchmarkError('session_not_node', 'the caller is not a node');
      call.audit({ agent_id: nodeId });
      const { address, signal } = call;
      const { serial, expiresAt: svidExpiresAt } = svid;
      yield* sessions.open(requests, { nodeId, serial, svidExpiresAt, address, signal });
    },
  };
}
