import { create } from '@bufbuild/protobuf';
import type { TpmAttestationConfig } from '../../src/config/server-config.js';
import { createLogger } from '../../src/log.js';
import { type AttestCall, type AttestDeps, attestAgent } from '../../src/server/attest.js';
import type { IssuedX509, Issuer, Registry } from '../../src/server/contract.js';
import type { Hosts } from '../../src/server/hosts/contract.js';
import { createHosts } from '../../src/server/hosts/hosts.js';
import type { Appraiser } from '../../src/server/measurements/judge.js';
import { createMeasurements, type MeasurementRoom } from '../../src/server/measurements/measurements.js';
import type { NodeAttestor } from '../../src/server/node-attestors/contract.js';
import { joinTokenAttestor } from '../../src/server/node-attestors/join-token.js';
import { tpmAttestor } from '../../src/server/node-attestors/tpm.js';
import type { NodeEvent } from '../../src/server/nodes/events.js';
import { openRegistry } from '../../src/server/registry/registry.js';
import { parseTrustDomain } from '../../src/spiffe/id.js';
import { makeAnchorSet, operatorAnchors } from '../../src/tpm/anchors.js';
import {
  type AttestAgentRequest,
  AttestAgentRequestSchema,
  type AttestAgentResponse,
} from '../../src/wire/gen/spire/server/agent_pb.js';
import { readCsr } from '../../src/x509/csr.js';
import { queue } from '../support/queue.js';
import type { AttestingAgent } from './chip-agent.js';
import { createEkAuthority, type EkAuthority } from './ek-authority.js';
import { type FakePolicies, fakePolicies } from './fake-policies.js';
import { type ManualClock, manualClock } from './manual-clock.js';
import { type MemoryDatastore, memoryDatastore } from './memory-datastore.js';
import { type SimpleAppraiser, simpleAppraiser } from './simple-appraiser.js';

export const domain = parseTrustDomain('example.org');
export const serverLeaf: Uint8Array = Buffer.from('leaf of this connection');

export interface AttestWorld extends AsyncDisposable {
  readonly clock: ManualClock;
  readonly store: MemoryDatastore;
  readonly registry: Registry;
  readonly hosts: Hosts;
  readonly policies: FakePolicies;
  readonly appraiser: SimpleAppraiser;
  readonly measurements: MeasurementRoom;
  readonly events: NodeEvent[];
  /** What was logged, a line of JSON each. */
  readonly lines: string[];
  readonly deps: AttestDeps;
  /** Keys that were certified, in order. */
  readonly certified: Uint8Array[];
  attest(agent: AttestingAgent, call?: Partial<AttestCall>): Promise<IssuedX509 & { reattestable: boolean }>;
}

export interface WorldOptions {
  readonly config?: Partial<TpmAttestationConfig>;
  readonly attestors?: readonly NodeAttestor[];
  readonly authority?: EkAuthority;
  /** In place of the simple one. */
  readonly judge?: Appraiser;
  /** Of a world before this one: its server went down, its disk is the same. */
  readonly before?: Pick<AttestWorld, 'store' | 'clock'>;
}

export const tpmConfig: TpmAttestationConfig = {
  enrol: 'any-genuine',
  anyGenuineAlgorithm: 'p256',
  vendorAnchors: false,
  anchorPaths: [],
  expiredCertificates: 'warn',
  pcrBank: 'sha256',
  pcrs: [0, 1, 2, 3, 4, 5, 6, 7],
  challengeTimeout: 30,
  approval: { perAddress: 2, total: 4, ttl: 600 },
  suspectGrace: 3600,
  reattestInterval: 1800,
};

/** A server's attestation with everything around it real but the issuer, the clock and the disk. */
export async function attestWorld(options: WorldOptions = {}): Promise<AttestWorld> {
  const clock = options.before?.clock ?? manualClock();
  const store = options.before?.store ?? memoryDatastore();
  const registry = await openRegistry(store, domain);
  const events: NodeEvent[] = [];
  const onEvent = (event: NodeEvent) => void events.push(event);
  const config = { ...tpmConfig, ...options.config };
  const lines: string[] = [];
  const write = (line: string) => void lines.push(line);
  const log = createLogger({ format: 'json', write, clock, journal: false }, 'debug');
  const hosts = createHosts({ trustDomain: domain, store, registry, clock, onEvent, config });
  const policies = fakePolicies();
  const appraiser = simpleAppraiser();
  const measuring = { tickInterval: 30, keepEvidence: 86_400, suspectGrace: config.suspectGrace };
  const measurements = createMeasurements({
    ...{ trustDomain: domain, store, registry, clock, log, policies, onEvent },
    ...{
      appraiser: options.judge ?? appraiser,
      config: { ...measuring, bank: config.pcrBank, pcrs: config.pcrs },
    },
  });
  const { authority } = options;
  const anchors =
    authority === undefined
      ? makeAnchorSet('none', [], [])
      : operatorAnchors({ anchors: authority.pem, name: 'test vendor', assurance: 'virtual' });
  const attestors = [
    tpmAttestor({
      ...{ trustDomain: domain, clock, log, anchors, onEvent, config },
      ...{ enrolment: hosts.enrolment, measuring: measurements.attestation },
    }),
    joinTokenAttestor({ trustDomain: domain, store, clock }),
    ...(options.attestors ?? []),
  ];
  const certified: Uint8Array[] = [];
  const deps: AttestDeps = {
    attestors: new Map(attestors.map((attestor) => [attestor.type, attestor])),
    issuer: fakeIssuer(certified, clock),
    ...{ store, clock, onEvent, agentTtl: 3600, answerMs: 30_000 },
  };
  return {
    ...{ clock, store, registry, hosts, policies, appraiser, measurements, events, lines, deps, certified },
    attest: (agent, call) => attestOnce(deps, agent, call),
    async [Symbol.asyncDispose]() {
      await measurements[Symbol.asyncDispose]();
      registry[Symbol.dispose]();
      await store[Symbol.asyncDispose]();
    },
  };
}

export function vendor(): EkAuthority {
  return createEkAuthority();
}

function fakeIssuer(certified: Uint8Array[], clock: ManualClock): Issuer {
  const refuse = () => {
    throw new Error('nothing but node SVIDs is issued here');
  };
  return {
    reserve: () => undefined,
    workloadX509: refuse,
    serverX509: refuse,
    downstreamCa: refuse,
    jwt: refuse,
    agentX509({ id, spki, ttl }) {
      certified.push(spki);
      const serial = certified.length.toString(16).padStart(4, '0');
      return { id, chain: [spki], expiresAt: Math.floor(clock.now() / 1000) + ttl, serial };
    },
  };
}

export function paramsOf({ type, payload, csr }: Omit<AttestingAgent, 'answer'>): AttestAgentRequest {
  const value = { data: { type, payload }, params: { csr } };
  return create(AttestAgentRequestSchema, { step: { case: 'params', value } });
}

/** Runs the agent's side against the server's, and gives what the result holds. */
async function attestOnce(deps: AttestDeps, agent: AttestingAgent, call: Partial<AttestCall> = {}) {
  const challenges = queue<Uint8Array>();
  async function* requests() {
    yield paramsOf(agent);
    for await (const challenge of challenges) {
      const value = await agent.answer(challenge);
      yield create(AttestAgentRequestSchema, { step: { case: 'challengeResponse', value } });
    }
  }
  const whole = { serverLeaf, address: '192.0.2.1', signal: new AbortController().signal, ...call };
  let last: AttestAgentResponse | undefined;
  for await (const response of attestAgent(deps, requests(), whole)) {
    if (response.step.case === 'challenge') challenges.push(response.step.value);
    last = response;
  }
  return resultOf(last);
}

function resultOf(response: AttestAgentResponse | undefined) {
  if (response?.step.case !== 'result') throw new Error('the attestation ended without a result');
  const { svid, reattestable } = response.step.value;
  const id = `spiffe://${svid?.id?.trustDomain}${svid?.id?.path}` as IssuedX509['id'];
  const expiresAt = Number(svid?.expiresAt);
  return { id, chain: svid?.certChain ?? [], expiresAt, serial: '', reattestable };
}

/** The key that an agent asked to have certified. */
export function keyOf(agent: AttestingAgent): Uint8Array {
  return readCsr(agent.csr).spki;
}
