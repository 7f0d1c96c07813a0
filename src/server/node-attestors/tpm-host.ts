/** From judged evidence to the host's record, and the writes that keep it: host, its EKs and what it showed, in one batch. */
import { create } from '@bufbuild/protobuf';
import { anyPack } from '@bufbuild/protobuf/wkt';
import type { Clock } from '../../clock.js';
import type { TpmAttestationConfig } from '../../config/server-config.js';
import type { TouchmarkError } from '../../errors.js';
import type { Logger } from '../../log.js';
import { withDetails } from '../../rpc/error-status.js';
import type { TrustDomain } from '../../spiffe/id.js';
import { ReasonSchema } from '../../wire/gen/touchmark/host/v1/state_pb.js';
import type { Condition, Write } from '../datastores/contract.js';
import type { EnrolmentPlan } from '../hosts/enrol.js';
import { hostSelectors, tpmNodeId } from '../hosts/selectors.js';
import { hostRefusal, transition } from '../hosts/state.js';
import type { AttestationMeasuring, JudgedAttestation } from '../measurements/attestation.js';
import { quoteRecord, type Recording } from '../measurements/record.js';
import type { Judgee, VerifiedQuote } from '../measurements/room.js';
import type { Host, HostEk } from '../model.js';
import type { NodeEvents } from '../nodes/events.js';
import type { AttestedIdentity } from './contract.js';
import { type AcceptedEk, EXPIRED } from './tpm-keys.js';

type ProvenPlan = Exclude<EnrolmentPlan, { kind: 'ask' }>;

/** What keeping a proven chip needs. */
export interface HostRecordDeps {
  readonly trustDomain: TrustDomain;
  readonly clock: Clock;
  readonly log: Logger;
  readonly onEvent: NodeEvents;
  readonly measuring: AttestationMeasuring;
  readonly config: Pick<TpmAttestationConfig, 'suspectGrace'>;
}

export interface ProvenChip {
  readonly plan: ProvenPlan;
  readonly eks: readonly AcceptedEk[];
  readonly verified: VerifiedQuote;
  readonly judged: JudgedAttestation;
}

/** Who is judged: a chip that is let in has the labels that it is let in with. */
export function judgeeOf(plan: ProvenPlan): Judgee {
  if (plan.kind === 'known') return plan.host.value;
  return { id: plan.admission.primary.hash, labels: plan.admission.labels };
}

/** @throws TouchmarkError when an operator shut the host out; what its evidence forbids is `refused` in the result */
export function attestedHost(deps: HostRecordDeps, chip: ProvenChip): AttestedIdentity {
  const now = deps.clock.now();
  const before = hostBefore(chip, now);
  const { judged, verified } = chip;
  const recording = deps.measuring.plan(before, judged);
  const { appraisal, maintenanceUntil } = recording;
  const host = transition(
    {
      ...before,
      eks: joinEks(before.eks, chip.eks),
      akName: verified.akName,
      akPublic: verified.akPublic,
      attestedAt: now,
      lastQuote: quoteRecord(verified, now),
      attestationNumber: before.attestationNumber + 1,
    },
    {
      kind: 'attested',
      suspicions: judged.suspicions,
      graceMs: deps.config.suspectGrace * 1000,
      judged: { appraisal, maintenanceUntil },
    },
    now,
  );
  const refused = hostRefusal(host, now);
  const { writes, conditions } = batchOf(chip, before, host, recording);
  return {
    nodeId: tpmNodeId(deps.trustDomain, host.id),
    selectors: hostSelectors(host),
    canReattest: true,
    hostId: host.id,
    writes,
    conditions,
    ...(refused === undefined ? {} : { refused: withReasons(refused, host) }),
    committed() {
      report(deps, chip, host);
      deps.measuring.committed(before, host, judged, recording);
    },
  };
}

function withReasons(refusal: TouchmarkError, { reasons }: Host): TouchmarkError {
  const details = reasons.map(({ code, message }) =>
    anyPack(ReasonSchema, create(ReasonSchema, { code, message })),
  );
  return withDetails(refusal, details);
}

function hostBefore({ plan }: ProvenChip, now: number): Host {
  if (plan.kind === 'known') return plan.host.value;
  const { primary, name, labels, enrolledBy } = plan.admission;
  return {
    id: primary.hash,
    name,
    labels,
    eks: [],
    state: 'pending',
    stateSince: now,
    reasons: [],
    graceEndsAt: 0,
    akName: '',
    attestationNumber: 0,
    enrolledBy,
    enrolledAt: now,
  };
}

/** A chip's keys only grow in number; what a verified certificate says replaces what was known. */
function joinEks(before: readonly HostEk[], shown: readonly AcceptedEk[]): HostEk[] {
  const joined = new Map(before.map((ek) => [ek.hash, ek]));
  for (const { record, certified } of shown) {
    if (certified || !joined.has(record.hash)) joined.set(record.hash, record);
  }
  return [...joined.values()];
}

/** Keys that were not the host's before must be nobody's: else another enrolment of this chip was faster. */
function batchOf(
  { plan }: ProvenChip,
  before: Host,
  host: Host,
  recording: Recording,
): { writes: Write[]; conditions: Condition[] } {
  const known = new Set(before.eks.map((ek) => ek.hash));
  const added = host.eks.map((ek) => ek.hash).filter((hash) => !known.has(hash));
  const admission = plan.kind === 'admit' ? plan.admission : { writes: [], conditions: [] };
  const revision = plan.kind === 'known' ? plan.host.revision : 0;
  return {
    writes: [
      { kind: 'host', key: host.id, value: host },
      ...added.map((key): Write => ({ kind: 'host_ek', key, value: { hostId: host.id } })),
      ...admission.writes,
      ...recording.writes,
    ],
    conditions: [
      { kind: 'host', key: host.id, revision },
      ...added.map((key): Condition => ({ kind: 'host_ek', key, revision: 0 })),
      ...admission.conditions,
      ...recording.conditions,
    ],
  };
}

function report(deps: HostRecordDeps, { plan, eks }: ProvenChip, host: Host): void {
  const { id: hostId, enrolledBy } = host;
  if (plan.kind === 'admit') deps.onEvent({ name: 'host_enrolled', hostId, enrolledBy });
  for (const { record } of eks) {
    const ended = record.deviations.filter(({ code }) => code === EXPIRED).map(({ message }) => message);
    if (ended.length === 0) continue;
    const fields = { host_id: hostId, ek_hash: record.hash, reasons: ended };
    deps.log.warn('a certificate of an endorsement key has run out', fields);
  }
}
