/** From verified evidence to the host's record, and the writes that keep it: host, its EKs and its node in one batch. */
import type { EvidenceFacts } from '../../attest/evidence.js';
import { compareClocks } from '../../tpm/clocks.js';
import type { Condition, Write } from '../datastores/contract.js';
import type { EnrolmentPlan } from '../hosts/enrol.js';
import { hostSelectors, tpmNodeId } from '../hosts/selectors.js';
import { transition } from '../hosts/state.js';
import type { Host, HostEk, QuoteRecord, Reason } from '../model.js';
import type { AttestedIdentity } from './contract.js';
import type { TpmAttestorDeps } from './tpm.js';
import { type AcceptedEk, EXPIRED } from './tpm-keys.js';

export interface ProvenChip {
  readonly plan: Exclude<EnrolmentPlan, { kind: 'ask' }>;
  readonly eks: readonly AcceptedEk[];
  readonly akName: Uint8Array;
  readonly facts: EvidenceFacts;
}

/** @throws TouchmarkError when the host's state permits nothing */
export function attestedHost(deps: TpmAttestorDeps, chip: ProvenChip): AttestedIdentity {
  const now = deps.clock.now();
  const before = hostBefore(chip, now);
  const suspicions = clockSuspicions(before.lastQuote, chip.facts);
  const host = transition(
    {
      ...before,
      eks: joinEks(before.eks, chip.eks),
      akName: Buffer.from(chip.akName).toString('hex'),
      lastQuote: quoteRecord(chip.facts, now),
      attestationNumber: before.attestationNumber + 1,
    },
    { kind: 'attested', suspicions, graceMs: deps.config.suspectGrace * 1000 },
    now,
  );
  const { writes, conditions } = batchOf(chip, before, host);
  return {
    nodeId: tpmNodeId(deps.trustDomain, host.id),
    selectors: hostSelectors(host),
    canReattest: true,
    hostId: host.id,
    writes,
    conditions,
    committed: () => report(deps, chip, host, suspicions),
  };
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

/** Counters of endorsement primaries are in clear, so that they compare across generations of the attestation key. */
function clockSuspicions(before: QuoteRecord | undefined, { quote }: EvidenceFacts): Reason[] {
  if (before === undefined) return [];
  const { resetCount, restartCount, safe } = before;
  const { verdict, reason } = compareClocks(
    { clock: BigInt(before.clock), resetCount, restartCount, safe },
    quote,
  );
  return verdict === 'cleared-or-cloned' ? [{ code: 'cloned-or-cleared', message: reason }] : [];
}

/** A chip's keys only grow in number; what a verified certificate says replaces what was known. */
function joinEks(before: readonly HostEk[], shown: readonly AcceptedEk[]): HostEk[] {
  const joined = new Map(before.map((ek) => [ek.hash, ek]));
  for (const { record, certified } of shown) {
    if (certified || !joined.has(record.hash)) joined.set(record.hash, record);
  }
  return [...joined.values()];
}

function quoteRecord({ quote, pcrValues }: EvidenceFacts, at: number): QuoteRecord {
  const values = [...(pcrValues ?? [])].map(([index, value]) => [
    String(index),
    Buffer.from(value).toString('hex'),
  ]);
  return {
    at,
    resetCount: quote.resetCount,
    restartCount: quote.restartCount,
    clock: quote.clock.toString(),
    safe: quote.safe,
    firmwareVersion: quote.firmwareVersion.toString(16).padStart(16, '0'),
    bank: quote.selection.bank,
    pcrs: Object.fromEntries(values),
  };
}

/** Keys that were not the host's before must be nobody's: else another enrolment of this chip was faster. */
function batchOf(
  { plan }: ProvenChip,
  before: Host,
  host: Host,
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
    ],
    conditions: [
      { kind: 'host', key: host.id, revision },
      ...added.map((key): Condition => ({ kind: 'host_ek', key, revision: 0 })),
      ...admission.conditions,
    ],
  };
}

function report(
  deps: TpmAttestorDeps,
  { plan, eks }: ProvenChip,
  host: Host,
  suspicions: readonly Reason[],
): void {
  const { id: hostId, enrolledBy } = host;
  if (plan.kind === 'admit') deps.onEvent({ name: 'host_enrolled', hostId, enrolledBy });
  if (suspicions.length > 0) deps.onEvent({ name: 'host_suspect', hostId, reasons: suspicions });
  for (const { record } of eks) {
    const ended = record.deviations.filter(({ code }) => code === EXPIRED).map(({ message }) => message);
    if (ended.length === 0) continue;
    const fields = { host_id: hostId, ek_hash: record.hash, reasons: ended };
    deps.log.warn('a certificate of an endorsement key has run out', fields);
  }
}
