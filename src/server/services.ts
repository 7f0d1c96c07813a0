import type { DescService } from '@bufbuild/protobuf';
import type { ServiceImpl } from '../rpc/call.js';
import type { HealthState } from '../rpc/health.js';
import { healthService } from '../rpc/health.js';
import { addReflection } from '../rpc/reflection.js';
import { createRpcServer, type RpcServer } from '../rpc/server.js';
import { Health } from '../wire/gen/grpc/health_pb.js';
import { Agent } from '../wire/gen/spire/server/agent_pb.js';
import { Bundle } from '../wire/gen/spire/server/bundle_pb.js';
import { Debug } from '../wire/gen/spire/server/debug_pb.js';
import { Entry } from '../wire/gen/spire/server/entry_pb.js';
import { LocalAuthority } from '../wire/gen/spire/server/localauthority_pb.js';
import { Logger } from '../wire/gen/spire/server/logger_pb.js';
import { SVID } from '../wire/gen/spire/server/svid_pb.js';
import { TrustDomain } from '../wire/gen/spire/server/trustdomain_pb.js';
import { Audit } from '../wire/gen/touchmark/audit/v1/audit_pb.js';
import { Deny } from '../wire/gen/touchmark/deny/v1/deny_pb.js';
import { Evidence } from '../wire/gen/touchmark/evidence/v1/evidence_pb.js';
import { Host } from '../wire/gen/touchmark/host/v1/host_pb.js';
import { Measurement } from '../wire/gen/touchmark/measure/v1/measure_pb.js';
import { Session } from '../wire/gen/touchmark/session/v1/session_pb.js';
import type { Connected } from './access/gate.js';
import { type AgentApiDeps, agentService } from './api/agent.js';
import { auditService } from './api/audit.js';
import { bindService } from './api/bind.js';
import { bundleService } from './api/bundle.js';
import { debugService } from './api/debug.js';
import { denyService } from './api/deny.js';
import { entryService } from './api/entry.js';
import { type EvidenceApiDeps, evidenceService } from './api/evidence.js';
import { whileBelieved } from './api/guard.js';
import { hostService } from './api/host.js';
import { localAuthorityService } from './api/localauthority.js';
import { loggerService } from './api/logger.js';
import { measurementService } from './api/measurement.js';
import type { ApiService } from './api/service.js';
import { sessionService } from './api/session.js';
import { svidService } from './api/svid.js';
import { trustDomainService } from './api/trustdomain.js';
import type { ServerContext } from './context.js';
import { createArchive } from './measurements/archive.js';
import { openGather } from './policies/gather.js';
import { createHarvester } from './policies/harvest.js';
import { createPublisher } from './policies/publish.js';
import { openRejudge } from './policies/rejudge.js';

const MIB = 1024 * 1024;

/** Requests that may be larger than one MiB: long lists of entries and of their IDs. */
const largeRequests = {
  '/spire.api.server.entry.v1.Entry/BatchCreateEntry': 4 * MIB,
  '/spire.api.server.entry.v1.Entry/BatchUpdateEntry': 4 * MIB,
  '/spire.api.server.entry.v1.Entry/SyncAuthorizedEntries': 4 * MIB,
  '/spire.api.server.bundle.v1.Bundle/BatchSetFederatedBundle': 4 * MIB,
};

/** A fleet behind one address is ordinary; one agent needs a handful of connections. */
const tlsLimits = { total: 20_000, perKey: 5_000 };

export interface Servers {
  /** For operators. */
  readonly unix: RpcServer<Connected>;
  /** For agents, and for administrators with an SVID. */
  readonly tls: RpcServer<Connected>;
}

export function createServers(context: ServerContext, health: HealthState): Servers {
  const { clock, log, gate } = context;
  const shared = { clock, log, interceptors: [gate.interceptor], maxRequestBytesOf: largeRequests };
  const unix = createRpcServer<Connected>(shared);
  const tls = createRpcServer<Connected>({ ...shared, limits: tlsLimits, keepaliveMs: 60_000 });
  const measurement = measurementApi(context);
  for (const server of [unix, tls]) {
    addShared(context, server);
    addBound(context, server, Measurement, measurement);
  }
  addBound(context, unix, Logger, loggerService(log));
  addBound(context, unix, Debug, debugService({ ...context, serverChain: () => context.serverSvid.chain() }));
  unix.add(Health, healthService<Connected>(health));
  addReflection(unix);
  return { unix, tls };
}

function addShared(context: ServerContext, server: RpcServer<Connected>): void {
  const { authority, clock, config } = context;
  const { trustDomain } = config;
  addBound(context, server, Agent, agentService(agentDeps(context)));
  addBound(context, server, Bundle, bundleService({ ...context, trustDomain }));
  addBound(context, server, Entry, entryService({ ...context, trustDomain }));
  addBound(context, server, SVID, svidService({ ...context, trustDomain, clock }));
  addBound(context, server, TrustDomain, trustDomainService(trustDomain));
  addBound(context, server, LocalAuthority, localAuthorityService(authority));
  addBound(context, server, Host, hostService({ ...context, trustDomain }));
  addBound(context, server, Audit, auditService(context));
  addBound(context, server, Deny, denyService(context));
  addBound(context, server, Evidence, evidenceService(evidenceDeps(context)));
  addBound(context, server, Session, guardedSessions(context));
}

/** One publisher for all ways in: publications wait for one another. */
function measurementApi(context: ServerContext): ApiService<typeof Measurement> {
  const { config, store } = context;
  const { blastRadius } = config.measurement;
  const archive = createArchive(store);
  const suspectGrace = config.attestation.tpm?.suspectGrace ?? 0;
  const shared = { ...context, archive, openRejudge };
  const publisher = createPublisher({ ...shared, suspectGrace, blastRadius });
  const harvest = createHarvester({ ...context, archive, openGather });
  return measurementService({ ...shared, publisher, blastRadius, harvest });
}

/** A session lives for weeks: it ends when the authority that its SVID is from is revoked. */
function guardedSessions({ sessions, authority }: ServerContext): ApiService<typeof Session> {
  const { open } = sessionService(sessions);
  return {
    open: (requests, call) => whileBelieved(open(requests, call), () => call.node(), authority.onChange),
  };
}

function evidenceDeps({ config, measurements, policies, registry }: ServerContext): EvidenceApiDeps {
  const { trustDomain } = config;
  const { archive } = measurements;
  return { archive, trustDomain, host: registry.host, resolved: (id) => policies.resolved(id) };
}

function agentDeps(context: ServerContext): AgentApiDeps {
  const { config, store, issuer, clock, attestors, hosts, nodes, onNodeEvent: onEvent } = context;
  const { agentTtl } = config.svid;
  const answerMs = (config.attestation.tpm?.challengeTimeout ?? 30) * 1000;
  return {
    ...context,
    trustDomain: config.trustDomain,
    agentTtl,
    attest: { attestors, store, issuer, clock, onEvent, agentTtl, answerMs },
    ban: (id, by) =>
      context.registry.node(id)?.hostId === undefined ? nodes.ban(id) : hosts.banNode(id, by),
  };
}

function addBound<S extends DescService>(
  context: ServerContext,
  server: RpcServer<Connected>,
  service: S,
  api: ApiService<S>,
): void {
  const bound: ServiceImpl<S, Connected> = bindService(service, api, context.gate);
  server.add(service, bound);
}
