import { access } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../clock.js';
import type { AgentConfig } from '../../config/agent-config.js';
import { Disposal } from '../../disposal.js';
import { TouchmarkError } from '../../errors.js';
import { createFileHasher, type FileHasher } from '../../host/hash-file.js';
import { createNameService } from '../../host/names.js';
import { createSystemdUnits, type SystemdUnits } from '../../host/systemd-units.js';
import { verityDigestOf } from '../../host/verity.js';
import type { Logger } from '../../log.js';
import type { Interceptor } from '../../rpc/call.js';
import { healthService } from '../../rpc/health.js';
import { addReflection } from '../../rpc/reflection.js';
import { createRpcServer, type RpcServer } from '../../rpc/server.js';
import { listenUnix } from '../../rpc/unix-listener.js';
import { Health } from '../../wire/gen/grpc/health_pb.js';
import { SpiffeWorkloadAPI } from '../../wire/gen/spiffe/workload_pb.js';
import { Debug } from '../../wire/gen/spire/agent/debug_pb.js';
import { Logger as LoggerApi } from '../../wire/gen/spire/agent/logger_pb.js';
import { Explain } from '../../wire/gen/touchmark/explain/v1/explain_pb.js';
import type { IdentityStore } from '../contract.js';
import { binaryAttestor } from '../workload-attestors/binary.js';
import type { WorkloadAttestor } from '../workload-attestors/contract.js';
import { digestAttestor, pathAttestor } from '../workload-attestors/executable.js';
import { systemdAttestor } from '../workload-attestors/systemd.js';
import { unixAttestor } from '../workload-attestors/unix.js';
import { debugService, loggerService } from './admin-api.js';
import { createWorkloadAttestation, type WorkloadAttestation } from './attest-workload.js';
import { callerOf, type WorkloadCaller } from './caller.js';
import { explainService } from './explain.js';
import { limitPerUser } from './limits.js';
import { checkSecurityHeader, workloadApi } from './workload-api.js';

export interface WorkloadServing {
  readonly config: Pick<
    AgentConfig,
    | 'socketPath'
    | 'adminSocketPath'
    | 'workloadAttestors'
    | 'measurement'
    | 'allowUnauthenticatedVerifiers'
    | 'limits'
  >;
  readonly store: IdentityStore;
  readonly log: Logger;
  readonly clock: Clock;
  /** Listening descriptors handed over by the service manager, in place of the paths. */
  readonly passed?: { readonly public?: number; readonly admin?: number };
  /** Default: the service manager of this host. */
  readonly units?: SystemdUnits;
}

/** Serves workloads, and operators on a socket of their own, until it is disposed. Answers Unavailable while the agent starts. */
export async function serveWorkloads(options: WorkloadServing): Promise<AsyncDisposable> {
  const disposal = new Disposal();
  try {
    const attestation = createWorkloadAttestation(attestorsOf(options, disposal));
    await servePublic(options, attestation, disposal);
    if (options.config.adminSocketPath !== '' || options.passed?.admin !== undefined) {
      await serveAdmin(options, attestation, disposal);
    }
    return disposal;
  } catch (error) {
    await disposal[Symbol.asyncDispose]();
    throw error;
  }
}

/** One row for each kind; the configuration says which are asked. */
function attestorsOf({ config, clock, units }: WorkloadServing, disposal: Disposal): WorkloadAttestor[] {
  const { workloadAttestors } = config;
  const names = createNameService({ clock });
  const { unix, systemd, binary } = workloadAttestors;
  const maxBytes = Math.max(unix?.sha256 ? unix.sizeLimit : 0, binary?.sizeLimit ?? 0);
  // One for both, so that a file is hashed once.
  const hasher = disposal.use(createFileHasher({ maxBytes }));
  return [
    ...(unix ? [unixAttestor(names)] : []),
    ...(unix?.path ? [pathAttestor()] : []),
    ...(unix?.sha256 ? [digestAttestor(hasher)] : []),
    ...binaryOf(config, hasher),
    ...(systemd ? [systemdAttestor(units ?? createSystemdUnits({ clock }), names)] : []),
  ];
}

function binaryOf(
  { workloadAttestors, measurement }: WorkloadServing['config'],
  hasher: FileHasher,
): WorkloadAttestor[] {
  if (workloadAttestors.binary === undefined) return [];
  // IMA is there from boot on or not at all.
  const listed = access(join(measurement.securityfs, 'ima')).then(
    () => true,
    () => false,
  );
  const verity = workloadAttestors.binary.verity ? verityDigestOf : undefined;
  return [binaryAttestor({ hasher, imaPresent: () => listed, verity })];
}

async function servePublic(
  options: WorkloadServing,
  attestation: WorkloadAttestation,
  disposal: Disposal,
): Promise<void> {
  const { config, store, clock, passed } = options;
  const server = rpcServer(options, [
    { before: checkSecurityHeader },
    limitPerUser(config.limits.streamsPerUid),
  ]);
  const { allowUnauthenticatedVerifiers } = config;
  server.add(SpiffeWorkloadAPI, workloadApi({ store, attestation, clock, allowUnauthenticatedVerifiers }));
  server.add(Explain, explainService({ store, attestation, everything: false }));
  addCommon(server, store);
  const at = passed?.public === undefined ? { path: config.socketPath, mode: 0o777 } : { fd: passed.public };
  await listen(options, server, at, callerOf, disposal);
}

async function serveAdmin(
  options: WorkloadServing,
  attestation: WorkloadAttestation,
  disposal: Disposal,
): Promise<void> {
  const { config, store, clock, log, passed } = options;
  const server = rpcServer(options, []);
  server.add(Explain, explainService({ store, attestation, everything: true }));
  server.add(Debug, debugService(store, clock, clock.now()));
  server.add(LoggerApi, loggerService(log));
  addCommon(server, store);
  const at =
    passed?.admin === undefined ? { path: config.adminSocketPath, mode: 0o600 } : { fd: passed.admin };
  await listen(options, server, at, administrator, disposal);
}

/** The mode of the path keeps others out already; this holds where the socket was handed over, too. */
function administrator(fd: number): WorkloadCaller {
  const caller = callerOf(fd);
  const { uid } = caller.workload;
  if (uid === 0 || uid === process.getuid?.()) return caller;
  caller.workload.process.close();
  throw new TouchmarkError('peer_not_administrator', `user ${uid} may not use the admin socket`);
}

function rpcServer(
  options: WorkloadServing,
  interceptors: Interceptor<WorkloadCaller>[],
): RpcServer<WorkloadCaller> {
  const { clock, log, config } = options;
  return createRpcServer<WorkloadCaller>({
    clock,
    log,
    interceptors,
    limits: { total: 16 * config.limits.connectionsPerUid, perKey: config.limits.connectionsPerUid },
    maxRequestBytes: 128 * 1024,
    onClose: ({ workload }) => workload.process.close(),
  });
}

function addCommon(server: RpcServer<WorkloadCaller>, store: IdentityStore): void {
  const serving = () => store.status.phase === 'serving';
  const health = {
    serving: (service: string) => (service === '' || service === 'SpiffeWorkloadAPI' ? serving() : undefined),
    services: () => ['', 'SpiffeWorkloadAPI'],
    onChange: (listener: () => void) => store.onChange(listener),
  };
  server.add(Health, healthService<WorkloadCaller>(health));
  addReflection(server);
}

async function listen(
  { log, clock }: WorkloadServing,
  server: RpcServer<WorkloadCaller>,
  at: { path: string; mode: number } | { fd: number },
  identify: (fd: number) => WorkloadCaller,
  disposal: Disposal,
): Promise<void> {
  const listener = await listenUnix<WorkloadCaller>({
    server,
    log,
    clock,
    at,
    identify: async (fd) => identify(fd),
    keyOf: ({ workload }) => String(workload.uid),
    drop: ({ workload }) => workload.process.close(),
  });
  // Together: the listener is closed only once its last connection is, and the server closes those.
  disposal.defer(async () => {
    await Promise.all([listener.close(), server.close()]);
  });
}
