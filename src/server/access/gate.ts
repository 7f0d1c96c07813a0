import { create } from '@bufbuild/protobuf';
import { anyPack } from '@bufbuild/protobuf/wkt';
import type { Clock } from '../../clock.js';
import type { Administrator } from '../../config/server-config.js';
import { type ErrorCode, hasCode, TouchmarkError } from '../../errors.js';
import type { AuditFields } from '../../events.js';
import type { Call, Interceptor } from '../../rpc/call.js';
import { statusName, withDetails } from '../../rpc/error-status.js';
import type { TlsPeer as TlsConnection } from '../../rpc/tls-listener.js';
import {
  PermissionDeniedDetailsSchema,
  PermissionDeniedDetails_Reason as Reason,
} from '../../wire/gen/spire/types_pb.js';
import type { ApiCall } from '../api/service.js';
import type { Registry } from '../contract.js';
import type { Node } from '../model.js';
import { type NodeLifecycle, nodeInForce } from '../nodes/lifecycle.js';
import type { Audit } from './audit.js';
import { authorize } from './authorize.js';
import {
  type Caller,
  isAgentId,
  type PeerSvid,
  svidRole,
  type TlsCaller,
  type TlsPeer,
  type UnixCaller,
} from './caller.js';
import type { Privileged } from './privileged.js';

/** What a listener found out about a connection; the same object for as long as it lives. */
export type Connected = UnixCaller | ({ readonly via: 'tls' } & TlsConnection);

const SESSION = '/touchmark.session.v1.Session/Open';

export interface GateDeps {
  readonly verifyPeer: (peer: TlsPeer) => PeerSvid | TouchmarkError;
  readonly privileged: Privileged;
  readonly registry: Registry;
  readonly nodes: NodeLifecycle;
  readonly administrators: readonly Administrator[];
  /** @throws TouchmarkError when the node's state permits nothing now */
  readonly permitIssuance: (node: Node) => void;
  /** A session is wanted by an SVID that a newer one has replaced. */
  readonly onOutdated: (svid: PeerSvid, address: string) => void;
  readonly audit: Audit;
  readonly clock: Clock;
}

export interface Gate {
  /** Resolves the caller, asks the table, and writes the audit line. Before every handler, on every listener. */
  readonly interceptor: Interceptor<Connected>;
  /** What a handler is given of a call that passed. */
  callOf(call: Call<Connected>): ApiCall;
}

export function createGate(deps: GateDeps): Gate {
  const callers = new WeakMap<Call<Connected>, Caller>();
  return {
    interceptor: {
      before(call) {
        const caller = callerOf(deps, call.caller);
        callers.set(call, caller);
        try {
          return admit(deps, call.method.path, caller);
        } catch (error) {
          throw withReason(error);
        }
      },
      after(call, { code, error, durationMs }) {
        const caller = callers.get(call) ?? callerOf(deps, call.caller);
        const { requestId, method } = call;
        const message = error instanceof TouchmarkError ? error.message : '';
        const fields = call.audit as AuditFields;
        const line = { requestId, method: method.path, caller, status: statusName(code), message, fields };
        deps.audit.call({ ...line, milliseconds: durationMs });
      },
    },
    callOf: (call) => apiCall(deps, call, callers.get(call) ?? callerOf(deps, call.caller)),
  };
}

function apiCall(deps: GateDeps, call: Call<Connected>, caller: Caller): ApiCall {
  const connected = call.caller;
  return {
    caller,
    address: connected.via === 'tls' ? connected.address : '',
    get serverLeaf() {
      return connected.via === 'tls' ? connected.serverLeaf : new Uint8Array();
    },
    // Read only by those who wait: a signal costs something to make.
    get signal() {
      return call.signal;
    },
    get deadline() {
      return call.deadline;
    },
    node: () => nodeInForce(deps.registry, currentSvid(deps, connected)).node,
    issuingNode() {
      const { node } = nodeInForce(deps.registry, currentSvid(deps, connected));
      deps.permitIssuance(node);
      return node;
    },
    audit: (fields) => void Object.assign(call.audit, fields),
  };
}

/** Asks the table; an agent's serial is looked at here, and what it presents for the first time takes effect. */
function admit(deps: GateDeps, path: string, caller: Caller): Promise<void> | undefined {
  const svid = caller.via === 'tls' ? caller.svid : undefined;
  const decision = authorize(path, {
    unix: caller.via === 'unix',
    role: caller.role,
    agent: svid !== undefined && isAgentId(svid.id),
    downstream: svid !== undefined && deps.privileged.downstreamEntries(svid.id).length > 0,
    tainted: svid?.tainted === true,
    withdrawn: svid?.withdrawn === true,
    refusal: caller.via === 'tls' ? caller.refusal : undefined,
  });
  if (decision === 'allowed' || svid === undefined) return undefined;
  const { node, promote } = inForce(deps, path, svid, caller);
  if (!promote) return undefined;
  deps.audit.event('node_serial_promoted', { agent_id: node.id, serial: svid.serial });
  return deps.nodes.promote(node.id, svid.serial);
}

function inForce(
  deps: GateDeps,
  path: string,
  svid: PeerSvid,
  caller: Caller,
): ReturnType<typeof nodeInForce> {
  try {
    return nodeInForce(deps.registry, svid);
  } catch (error) {
    const outdated = hasCode(error, 'agent_not_active') && caller.via === 'tls' && path === SESSION;
    if (outdated) deps.onOutdated(svid, caller.address);
    throw error;
  }
}

function callerOf(deps: GateDeps, connected: Connected): Caller {
  if (connected.via === 'unix') return connected;
  const { address } = connected;
  const nobody: TlsCaller = { via: 'tls', address, svid: undefined, refusal: undefined, role: undefined };
  if (connected.chain.length === 0) return nobody;
  const svid = deps.verifyPeer(connected);
  if (svid instanceof TouchmarkError) return { ...nobody, refusal: svid };
  const role =
    svidRole(svid.id, deps.administrators) ?? (deps.privileged.isAdmin(svid.id) ? 'admin' : undefined);
  return { ...nobody, svid, role };
}

function currentSvid(deps: GateDeps, connected: Connected): PeerSvid {
  if (connected.via === 'unix') throw new TouchmarkError('permission_denied', 'the caller is not an agent');
  const svid = deps.verifyPeer(connected);
  if (svid instanceof TouchmarkError) throw svid;
  if (!isAgentId(svid.id)) throw new TouchmarkError('permission_denied', `${svid.id} is not an agent`);
  return svid;
}

const reasons: Partial<Record<ErrorCode, Reason>> = {
  agent_expired: Reason.AGENT_EXPIRED,
  agent_not_attested: Reason.AGENT_NOT_ATTESTED,
  agent_not_active: Reason.AGENT_NOT_ACTIVE,
  agent_banned: Reason.AGENT_BANNED,
  node_banned: Reason.AGENT_BANNED,
  host_banned: Reason.AGENT_BANNED,
  agent_must_reattest: Reason.AGENT_MUST_REATTEST,
};

/** Adds the reason that SPIRE's agents read to a refusal that is about the agent itself. */
export function withReason(error: unknown): unknown {
  if (!(error instanceof TouchmarkError)) return error;
  const reason = reasons[error.code];
  if (reason === undefined) return error;
  return withDetails(error, [
    anyPack(PermissionDeniedDetailsSchema, create(PermissionDeniedDetailsSchema, { reason })),
  ]);
}
