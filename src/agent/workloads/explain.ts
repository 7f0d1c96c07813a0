import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { hasCode, messageOf, TouchmarkError } from '../../errors.js';
import { executableLinkNow } from '../../host/proc-now.js';
import type { ServiceImpl } from '../../rpc/call.js';
import { type Entry, weakSelectors } from '../../spiffe/entry.js';
import { pathOf, type SpiffeId, trustDomainOf } from '../../spiffe/id.js';
import { isInterpreter } from '../../spiffe/interpreters.js';
import { indexEntries, nearEntries } from '../../spiffe/matching.js';
import {
  Cause,
  type Explain,
  ExplainResponseSchema,
} from '../../wire/gen/touchmark/explain/v1/explain_pb.js';
import { HostState } from '../../wire/gen/touchmark/host/v1/state_pb.js';
import type { IdentityStore } from '../contract.js';
import type { Workload } from '../workload-attestors/contract.js';
import type { Attestation, AttestorOutcome, WorkloadAttestation } from './attest-workload.js';
import { type WorkloadCaller, workloadOfPid } from './caller.js';

export interface Explaining {
  readonly store: IdentityStore;
  readonly attestation: WorkloadAttestation;
  /**
   * true on the admin socket: other processes, entries and the node's state. On the public socket a caller learns its
   * own selectors, the identities that it could fetch, and the class of the cause.
   */
  readonly everything: boolean;
}

type Answer = MessageInitShape<typeof ExplainResponseSchema>;

/** What stands in the way, and the sentence for it. */
interface Finding {
  readonly cause: Cause;
  readonly message: string;
}

/** Says why a process has the identities that it has, or none. */
export function explainService(deps: Explaining): ServiceImpl<typeof Explain, WorkloadCaller> {
  return {
    async explain({ pid }, { caller, signal }) {
      if (pid === 0 || pid === caller.workload.pid) {
        return create(ExplainResponseSchema, await explain(deps, caller.workload, signal));
      }
      if (!deps.everything) {
        throw new TouchmarkError('explain_not_allowed', 'a caller may ask about itself only');
      }
      const workload = await workloadOfPid(pid);
      try {
        return create(ExplainResponseSchema, await explain(deps, workload, signal));
      } finally {
        workload.process.close();
      }
    },
  };
}

async function explain(deps: Explaining, workload: Workload, signal: AbortSignal): Promise<Answer> {
  const { store, everything } = deps;
  const about = { pid: workload.pid, ...(everything ? { node: nodeOf(store) } : {}) };
  let attestation: Attestation;
  try {
    attestation = await deps.attestation.attest(workload, signal);
  } catch (error) {
    return { ...about, ...failedAttestation(error) };
  }
  const { selectors } = attestation;
  const entries = store.matching(selectors);
  const program = programOf(workload);
  const near = everything && entries.length === 0 ? { near: nearOf(store, attestation) } : {};
  return {
    ...about,
    selectors: [...selectors],
    attestors: attestation.attestors.map(shownAttestor),
    identities: entries.map((entry, index) => identityOf(deps, program, entry, index === 0)),
    ...causeOf(deps, attestation, program, entries),
    ...near,
  };
}

function failedAttestation(error: unknown): Finding & { attestors: ReturnType<typeof shownAttestor>[] } {
  const gone = hasCode(error, 'peer_gone', 'peer_changed');
  const listed = hasCode(error, 'workload_attestation_failed') ? error.detail['attestors'] : [];
  return {
    cause: gone ? Cause.PROCESS : Cause.ATTESTOR,
    message: messageOf(error),
    attestors: (listed as Attestation['attestors']).map(shownAttestor),
  };
}

function shownAttestor({ name, error = '' }: AttestorOutcome) {
  return { name, ok: error === '', error };
}

/** The first thing in the way: the node, then an attestor without which an entry may not have matched, then the entry. */
function causeOf(
  deps: Explaining,
  attestation: Attestation,
  program: string,
  entries: readonly Entry[],
): Finding {
  const { store } = deps;
  const { phase } = store.status;
  if (phase !== 'serving') return { cause: Cause.NODE, message: nodeMessage(deps) };
  if (entries.length === 0) {
    const failed = attestation.attestors.filter((attestor) => attestor.failed).map(({ name }) => name);
    if (failed.length === 0) {
      return {
        cause: Cause.ENTRY,
        message: 'no entry of this host has only selectors that this process has',
      };
    }
    const message = `no entry matches, and selectors of ${failed.join(', ')} are missing`;
    return { cause: Cause.ATTESTOR, message };
  }
  const note = interpreterNote(program, entries);
  if (entries.some(({ id }) => store.look(id).identity))
    return { cause: Cause.NONE, message: `an identity is issued${note}` };
  return signingFinding(deps, entries, note);
}

/** None is held: because nobody asked yet, or because signing failed. */
function signingFinding({ store, everything }: Explaining, entries: readonly Entry[], note: string): Finding {
  const { connected } = store.status;
  const failure = entries
    .flatMap(({ id }) => store.look(id).failure ?? [])
    .find(({ code }) => connected || code !== 'server_away');
  if (failure !== undefined && everything) {
    const { at, code, message } = failure;
    const when = new Date(at).toISOString();
    return {
      cause: Cause.SERVER,
      message: `an entry matches, but signing failed at ${when}: ${message} (${code})`,
    };
  }
  if (failure !== undefined) return { cause: Cause.SERVER, message: `an entry matches, but ${failure.kind}` };
  if (connected)
    return { cause: Cause.NONE, message: `an entry matches; its SVID is signed when it is asked for${note}` };
  return { cause: Cause.SERVER, message: 'an entry matches, but the server cannot be reached to sign' };
}

function nodeMessage({ store, everything }: Explaining): string {
  const { phase, reasons, approvalCode } = store.status;
  if (phase === 'withdrawn') {
    const why = everything ? reasons.map(({ code, message }) => `${code}: ${message}`).join('; ') : '';
    return `the server withdrew this host's identities${why ? ` (${why})` : ''}`;
  }
  const code =
    everything && approvalCode !== '' ? `; it waits for an operator to approve ${approvalCode}` : '';
  return `this host has not been attested yet${code}`;
}

/** An entry that names a script interpreter says little, however many other selectors it has. */
function interpreterNote(program: string, entries: readonly Entry[]): string {
  if (!isInterpreter(program) || !entries.some(namesFile)) return '';
  return `; ${program} is an interpreter: its path and digest do not say which program it runs`;
}

function namesFile({ selectors }: Entry): boolean {
  return selectors.some(
    ({ type, value }) => type === 'binary' || (type === 'unix' && /^(path|sha256):/.test(value)),
  );
}

/** What the process runs; empty when it has ended. */
function programOf({ pid }: Workload): string {
  try {
    return executableLinkNow(pid);
  } catch {
    return '';
  }
}

function identityOf({ store, everything }: Explaining, program: string, entry: Entry, first: boolean) {
  return {
    spiffeId: idOf(entry.spiffeId),
    entryId: everything ? entry.id : '',
    hint: entry.hint,
    expiresAt: BigInt(store.look(entry.id).identity?.expiresAt ?? 0),
    default: first,
    weak: weakSelectors(entry) || (isInterpreter(program) && namesFile(entry)),
  };
}

function nearOf(store: IdentityStore, { selectors }: Attestation) {
  return nearEntries(indexEntries(store.entries().values()), selectors).map(({ entry, missing }) => ({
    entryId: entry.id,
    spiffeId: idOf(entry.spiffeId),
    missing: [...missing],
  }));
}

function nodeOf({ status }: IdentityStore) {
  const state = HostState[status.state.toUpperCase() as keyof typeof HostState] ?? HostState.UNSPECIFIED;
  return {
    ...(status.id ? { id: idOf(status.id) } : {}),
    state,
    reasons: [...status.reasons],
    serverConnected: status.connected,
    lastSync: BigInt(Math.floor(status.lastContact / 1000)),
  };
}

function idOf(id: SpiffeId) {
  return { trustDomain: trustDomainOf(id), path: pathOf(id) };
}
