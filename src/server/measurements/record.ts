/** From a judgement to the host's record and the archive, in one conditional batch, written only where something changed. */
import type { ComponentAppraisal } from '../../measure/appraise/contract.js';
import type { QuoteFacts } from '../../tpm/quote.js';
import { commitPlan } from '../commit.js';
import type { Stored } from '../datastores/contract.js';
import { type Batch, hostBatch, joinBatches } from '../hosts/change.js';
import { judgementReasons } from '../hosts/derive.js';
import { transition } from '../hosts/state.js';
import type { AppraisalRecord, Host, QuoteRecord, Reason } from '../model.js';
import { newestId } from './archive-keys.js';
import { bringsLogs, evidenceWrites, hexValues } from './evidence-writes.js';
import { joinRemembered, joinSets, judgementKey, maintenanceEnd, type Remembered } from './memory.js';
import type { Room, VerifiedQuote } from './room.js';
import type { Settled } from './settle.js';

export interface Recording extends Batch {
  readonly appraisal: AppraisalRecord;
  readonly maintenanceUntil: number;
  /** Whether the host's own record says something else from now on. */
  readonly changed: boolean;
  readonly remembered: Remembered;
}

/** What there is to write of a judgement, beside the host's own record. */
export function planRecording(
  host: Host | undefined,
  judged: Settled,
  known: Remembered | undefined,
): Recording {
  const { evidence, appraisal, inForce, verified } = judged;
  // What it goes on from may be longer by now.
  const joinedSet = joinSets(judged.set, known?.set);
  const settled = joinedSet === judged.set ? judged : { ...judged, set: joinedSet };
  const maintenanceUntil = maintenanceEnd(inForce, evidence.at);
  const before = host?.appraisal;
  const draft = appraisalOf(settled, before);
  const changed =
    before === undefined ||
    !agree(before, draft) ||
    (host?.maintenanceUntil ?? 0) !== maintenanceUntil ||
    host?.akName !== verified.akName;
  const mine = known?.akName === verified.akName ? known : undefined;
  const anew = mine?.set.boot !== settled.set.boot;
  const keeps = changed || anew || bringsLogs(settled);
  const shown = changed ? addsReasonsOnly(before, draft) : mine?.evidenceId !== before?.evidenceId;
  const replaces = !anew && shown;
  const kept = keeps
    ? evidenceWrites(settled, newestId(mine?.evidenceId, before?.evidenceId), replaces)
    : undefined;
  const evidenceId = kept?.record.id ?? mine?.evidenceId ?? '';
  const current = { ...draft, evidenceId };
  return {
    appraisal: changed ? current : before,
    maintenanceUntil,
    changed,
    writes: kept?.writes ?? [],
    conditions: kept?.conditions ?? [],
    remembered: {
      akName: verified.akName,
      quote: verified.quote,
      pcrValues: verified.pcrValues,
      state: appraisal.newState,
      appraisal,
      record: current,
      inForce,
      key: judgementKey(inForce, evidence.at),
      set: kept?.set ?? settled.set,
      evidenceId,
      wholeAt: settled.wholeAt,
    },
  };
}

function appraisalOf(
  { evidence, appraisal, inForce }: Settled,
  before: AppraisalRecord | undefined,
): AppraisalRecord {
  const { verdict, explanation, ukis } = appraisal;
  return {
    verdict,
    since: before?.verdict === verdict ? before.since : evidence.at,
    at: evidence.at,
    evidenceId: '',
    policyId: inForce?.policy.id ?? '',
    policyName: inForce?.policy.policy.name ?? '',
    group: inForce?.group.name ?? '',
    components: explanation.components,
    ukis,
  };
}

/** Whether two judgements say the same; how many measurements they rest on may grow, and how many speak against it. */
function agree(a: AppraisalRecord, b: AppraisalRecord): boolean {
  return (
    a.verdict === b.verdict &&
    a.policyId === b.policyId &&
    a.policyName === b.policyName &&
    a.group === b.group &&
    a.components.length === b.components.length &&
    a.components.every((component, at) => agreeOn(component, b.components[at])) &&
    isWrittenAlike(a.ukis ?? [], b.ukis ?? [])
  );
}

function agreeOn(a: ComponentAppraisal, b: ComponentAppraisal | undefined): boolean {
  return a.component === b?.component && a.result === b.result && isWrittenAlike(a.reasons, b.reasons);
}

/** As records hold it, where nothing is undefined. */
function isWrittenAlike(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && (a.length === 0 || JSON.stringify(a) === JSON.stringify(b));
}

/** Whether a judgement says all that the one before it said, and gives further reasons for the same. */
function addsReasonsOnly(before: AppraisalRecord | undefined, now: AppraisalRecord): boolean {
  if (before === undefined) return false;
  const cut = now.components.map((component, at): ComponentAppraisal => {
    const { length } = before.components[at]?.reasons ?? [];
    return { ...component, reasons: component.reasons.slice(0, length) };
  });
  return agree({ ...now, components: cut }, before);
}

interface Recorded {
  readonly recording: Recording;
  /** Where the host's own record was written. */
  readonly host?: { readonly before: Host; readonly after: Host };
}

/** Writes what the evidence of a session, or a judgement made anew, comes to, and tells of it. */
export async function record(
  room: Room,
  settled: Settled,
  suspicions: readonly Reason[] = [],
): Promise<Recording | undefined> {
  const { hostId } = settled;
  const done = await commitPlan<Recorded | undefined>(room.store, async () => {
    const known = room.memory.get(hostId);
    const before = room.registry.host(hostId);
    if (before === undefined) return { writes: [], conditions: [], result: undefined };
    const light = planRecording(before, settled, known);
    if (!light.changed && suspicions.length === 0) {
      return { writes: light.writes, conditions: light.conditions, result: { recording: light } };
    }
    const stored = await room.store.get('host', hostId);
    if (stored === undefined) return { writes: [], conditions: [], result: undefined };
    const recording = planRecording(stored.value, settled, known);
    const after = hostAfter(room, stored, settled, recording, suspicions);
    const batch = joinBatches(recording, await hostBatch(room, stored, after));
    return { ...batch, result: { recording, host: { before: stored.value, after } } };
  });
  if (done === undefined) return undefined;
  room.memory.set(hostId, joinRemembered(done.recording.remembered, room.memory.get(hostId)));
  if (settled.quotedAt !== undefined) {
    if (done.host === undefined) room.unwritten.add(hostId);
    else room.unwritten.delete(hostId);
  }
  if (done.host !== undefined) tell(room, done.host.before, done.host.after, suspicions);
  return done.recording;
}

function hostAfter(
  room: Room,
  { value }: Stored<Host>,
  { verified, quotedAt }: Settled,
  { appraisal, maintenanceUntil }: Recording,
  suspicions: readonly Reason[],
): Host {
  const judged = { appraisal, maintenanceUntil };
  const graceMs = room.config.suspectGrace * 1000;
  const host = transition(value, { kind: 'appraised', suspicions, graceMs, judged }, room.clock.now());
  return quotedAt === undefined ? host : { ...host, lastQuote: quoteRecord(verified, quotedAt) };
}

/** What a change of a host's state means to those who watch. */
export function tell(
  { onEvent }: Pick<Room, 'onEvent'>,
  before: Pick<Host, 'id' | 'state'>,
  after: Host,
  suspicions: readonly Reason[],
): void {
  const { id: hostId, state } = after;
  if (suspicions.length > 0) onEvent({ name: 'host_suspect', hostId, reasons: suspicions });
  if (before.state === state) return;
  if (state === 'drifted')
    onEvent({ name: 'host_drifted', hostId, reasons: judgementReasons(after.appraisal) });
  else if (before.state === 'drifted') onEvent({ name: 'host_recovered', hostId, state });
  if (state === 'suspect' && suspicions.length === 0)
    onEvent({ name: 'host_suspect', hostId, reasons: after.reasons });
}

export function quoteRecord(
  { quote, pcrValues }: Pick<VerifiedQuote, 'pcrValues'> & { quote: QuoteFacts },
  at: number,
): QuoteRecord {
  return {
    at,
    resetCount: quote.resetCount,
    restartCount: quote.restartCount,
    clock: quote.clock.toString(),
    safe: quote.safe,
    firmwareVersion: quote.firmwareVersion.toString(16).padStart(16, '0'),
    bank: quote.selection.bank,
    pcrs: hexValues(pcrValues),
  };
}
