/** Everything that the server works with, built here and nowhere else, and disposed of in reverse. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../clock.js';
import type { ServerConfig } from '../config/server-config.js';
import { Disposal } from '../disposal.js';
import { TouchmarkError } from '../errors.js';
import { lockDirectory } from '../host/lock.js';
import type { Logger } from '../log.js';
import { weakReason } from '../spiffe/entry.js';
import { type Audit, createAudit } from './access/audit.js';
import { createPeerVerifier } from './access/caller.js';
import { createGate, type Gate } from './access/gate.js';
import { createLimits, type Limits } from './access/limits.js';
import { createPrivileged, type Privileged } from './access/privileged.js';
import { openAuthority } from './authority/authority.js';
import { type Bundles, createBundles } from './authority/foreign-bundles.js';
import type { Authority, Issuer, Registry } from './contract.js';
import type { Datastore } from './datastores/contract.js';
import { openDatastore } from './datastores/datastore-table.js';
import { crlsOf, type Deny, openDeny } from './deny/open.js';
import { createEntries, type Entries } from './entries/entries.js';
import { startEntryPruner } from './entries/pruner.js';
import type { Hosts } from './hosts/contract.js';
import { createHosts } from './hosts/hosts.js';
import { checkIssuance } from './hosts/state.js';
import { vendorAnchorsDir } from './installation.js';
import { createIssuer } from './issue.js';
import { openSerials, type Serials } from './issuing/serials.js';
import type { KeyManager } from './key-managers/contract.js';
import { openKeyManager } from './key-managers/key-manager-table.js';
import { appraiser } from './measurements/appraiser.js';
import { createMeasurements, type MeasurementRoom } from './measurements/measurements.js';
import type { MeasurementConfig } from './measurements/room.js';
import type { Node } from './model.js';
import type { NodeAttestor } from './node-attestors/contract.js';
import { openNodeAttestors } from './node-attestors/table.js';
import { startTokenPruner } from './node-attestors/token-pruner.js';
import { auditNodeEvents } from './nodes/audit.js';
import type { NodeEvents } from './nodes/events.js';
import { createNodeLifecycle, type NodeLifecycle } from './nodes/lifecycle.js';
import { openPolicies } from './policies/book.js';
import type { Policies } from './policies/contract.js';
import type { EventLog } from './record/contract.js';
import { openEventLog } from './record/event-log.js';
import { openRegistry } from './registry/registry.js';
import { openServerSvid, type ServerSvid } from './server-svid.js';
import type { Sessions } from './sessions/contract.js';
import { watchOutdated } from './sessions/outdated.js';
import { createSessions } from './sessions/sessions.js';
import { openUpstreamAuthority } from './upstream-authorities/upstream-authority-table.js';

export interface ServerContext extends AsyncDisposable {
  readonly config: ServerConfig;
  readonly clock: Clock;
  readonly log: Logger;
  readonly audit: Audit;
  readonly store: Datastore;
  readonly registry: Registry;
  readonly authority: Authority;
  readonly issuer: Issuer;
  readonly serials: Serials;
  readonly entries: Entries;
  readonly bundles: Bundles;
  readonly nodes: NodeLifecycle;
  readonly privileged: Privileged;
  readonly limits: Limits;
  readonly hosts: Hosts;
  readonly policies: Policies;
  /** The record of everything that is committed. */
  readonly events: EventLog;
  readonly measurements: MeasurementRoom;
  readonly sessions: Sessions;
  readonly deny: Deny;
  readonly attestors: ReadonlyMap<string, NodeAttestor>;
  readonly onNodeEvent: NodeEvents;
  readonly gate: Gate;
  readonly verifyPeer: ReturnType<typeof createPeerVerifier>;
  readonly serverSvid: ServerSvid;
  /** @throws TouchmarkError when the node's state permits no issuance now */
  permitIssuance(node: Node): void;
}

export interface ContextParts {
  readonly config: ServerConfig;
  readonly clock: Clock;
  readonly log: Logger;
  /** In place of the configured ones, already open: the context disposes of them. */
  readonly store?: Datastore;
  readonly keys?: KeyManager;
  /** Where the vendors' EK anchors lie; default: in this installation. */
  readonly vendorAnchorsDir?: string;
}

/** @throws TouchmarkError `directory_locked` and whatever opening a part throws; what was opened before is closed again */
export async function openContext(parts: ContextParts): Promise<ServerContext> {
  const disposal = new Disposal();
  try {
    return await build(parts, disposal);
  } catch (error) {
    await disposal[Symbol.asyncDispose]();
    throw error;
  }
}

async function build(parts: ContextParts, disposal: Disposal): Promise<ServerContext> {
  const { config, clock, log } = parts;
  const { trustDomain, administrators } = config;
  const audit = createAudit(log, config.audit);
  const { store, events, authority, serials } = await openStorage(parts, disposal);
  const registry = disposal.use(await openRegistry(store, trustDomain));
  const policies = disposal.use(await openPolicies({ store, clock, log }));
  const issuer = createIssuer({ config, authority, clock, serials });
  const deny = await openDeny({ config, clock, log, audit, store, registry, authority, serials }, disposal);
  const privileged = disposal.use(createPrivileged(registry, clock));
  const nodes = createNodeLifecycle(store, registry);
  const entries = createEntries({ store, clock, trustDomain, admit: admitter(config) });
  disposal.use(startEntryPruner({ registry, entries, clock, log, audit }));
  disposal.use(await startTokenPruner({ store, clock, log }));
  const core = {
    ...{
      config,
      clock,
      log,
      audit,
      store,
      events,
      registry,
      policies,
      authority,
      issuer,
      serials,
      entries,
      nodes,
      privileged,
      deny,
    },
  };
  const attestation = await openAttestation(parts, core, disposal);
  const permitIssuance = issuancePermit(core, attestation.sessions);
  const verifyPeer = createPeerVerifier(authority, clock, serials.isWithdrawn);
  return {
    ...core,
    ...attestation,
    ...{ permitIssuance, verifyPeer },
    gate: createGate({
      ...{ ...core, administrators, verifyPeer, permitIssuance },
      onOutdated: watchOutdated({ ...core, ...attestation, onEvent: attestation.onNodeEvent }),
    }),
    serverSvid: disposal.use(await openServerSvid({ issuer, authority, clock, log })),
    bundles: createBundles(store, registry, trustDomain),
    limits: createLimits(config.rateLimits, clock),
    [Symbol.asyncDispose]: () => disposal[Symbol.asyncDispose](),
  };
}

type Core = Pick<
  ServerContext,
  'config' | 'clock' | 'log' | 'audit' | 'store' | 'registry' | 'policies' | 'authority' | 'deny'
>;

/** Hosts, the sessions of their nodes, and the ways in which a node may prove itself. */
async function openAttestation(
  parts: ContextParts,
  { config, clock, log, audit, store, registry, policies, authority, deny }: Core,
  disposal: Disposal,
): Promise<Pick<ServerContext, 'hosts' | 'measurements' | 'sessions' | 'attestors' | 'onNodeEvent'>> {
  const { trustDomain, attestation } = config;
  const onNodeEvent = auditNodeEvents(audit);
  const shared = { trustDomain, store, registry, clock, onEvent: onNodeEvent };
  const { tpm } = attestation;
  const hosts = createHosts(tpm === undefined ? shared : { ...shared, config: tpm });
  const measurements = disposal.use(
    createMeasurements({ ...shared, log, policies, config: measuringOf(config), appraiser }),
  );
  const sessions = disposal.use(
    createSessions({
      ...{ ...shared, log, authority, epoch: store.epoch, crls: crlsOf(deny, log) },
      reattestInterval: tpm?.reattestInterval ?? 0,
      measuring: measurements,
      suspect: (hostId, reasons) => hosts.suspect(hostId, reasons),
    }),
  );
  const attestors = await openNodeAttestors(attestation, {
    ...{ ...shared, log, enrolment: hosts.enrolment, measuring: measurements.attestation },
    vendorAnchorsDir: parts.vendorAnchorsDir ?? vendorAnchorsDir(),
  });
  return { hosts, measurements, sessions, attestors, onNodeEvent };
}

/** Where no chip attests, none is measured: the defaults of a chip stand in for what nobody asks. */
function measuringOf({ measurement, attestation: { tpm } }: ServerConfig): MeasurementConfig {
  const { pcrBank: bank = 'sha256', pcrs = [], suspectGrace = 0 } = tpm ?? {};
  return { ...measurement, bank, pcrs, suspectGrace };
}

/** What a node's state permits, by its records and its session of this moment. */
function issuancePermit({ registry, clock }: Core, sessions: Sessions): ServerContext['permitIssuance'] {
  return (node) => {
    const host = node.hostId === undefined ? undefined : registry.host(node.hostId);
    if (node.hostId !== undefined && host === undefined) {
      throw new TouchmarkError('agent_not_attested', `the host of agent ${node.id} was forgotten`);
    }
    checkIssuance({ node, host, sessionLive: sessions.isLive(node.id), now: clock.now() });
  };
}

/** The data directory is this process's alone before anything in it is opened. */
async function openStorage(
  { config, clock, log, store: givenStore, keys: givenKeys }: ContextParts,
  disposal: Disposal,
): Promise<{ store: Datastore; events: EventLog; authority: Authority; serials: Serials }> {
  if (givenStore === undefined) {
    await mkdir(config.dataDir, { recursive: true, mode: 0o700 });
    disposal.use(await lockDirectory(config.dataDir));
  }
  const unrecorded = disposal.use(givenStore ?? (await openDatastore(config.datastore)));
  const keys = disposal.use(givenKeys ?? (await openKeyManager(config.keyManager)));
  const { trustDomain, ca, upstreamAuthority } = config;
  const events = disposal.use(
    await openEventLog({
      ...{ directory: join(config.dataDir, 'events'), store: unrecorded, clock, log, trustDomain },
      keep: config.record.keep * 1000,
    }),
  );
  const { store } = events;
  const upstream =
    upstreamAuthority === undefined
      ? undefined
      : await openUpstreamAuthority(upstreamAuthority, { trustDomain, subject: ca.subject, clock });
  const authority = disposal.use(await openAuthority({ config, store, keys, upstream, clock, logger: log }));
  const serials = disposal.use(await openSerials({ store, keys, clock, log }));
  events.signWith(authority);
  disposal.defer(() => events.close());
  return { store, events, authority, serials };
}

function admitter(config: ServerConfig): Parameters<typeof createEntries>[0]['admit'] {
  if (config.weakSelectors !== 'refuse') return () => {};
  return (entry) => {
    const weak = weakReason(entry.selectors);
    if (weak !== undefined) throw new TouchmarkError('entry_invalid', `entry: selectors are weak: ${weak}`);
  };
}
