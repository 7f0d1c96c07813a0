import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { hasCode, messageOf, TouchmarkError } from '../../errors.js';
import type { Call, ServiceImpl } from '../../rpc/call.js';
import type { Entry } from '../../spiffe/entry.js';
import { weakSelectors } from '../../spiffe/entry.js';
import { pathOf, type SpiffeId, trustDomainOf } from '../../spiffe/id.js';
import { indexEntries, nearEntries } from '../../spiffe/matching.js';
import {
  Cause,
  type Explain,
  ExplainResponseSchema,
} from '../../wire/gen/touchmark/explain/v1/explain_pb.js';
import { HostState } from '../../wire/gen/touchmark/host/v1/state_pb.js';
import type { IdentityStore } from '../contract.js';
import type { Workload } from '../workload-attestors/contract.js';
import type { Attestation, AttestWorkload } from './attest-workload.js';
import { type WorkloadCaller, workloadOfPid } from './caller.js';

type Answer = MessageInitShape<typeof ExplainResponseSchema>;

/** What stands in the way, and the sentence for it. */
interface Finding {
  readonly cause: Cause;
  readonly message: string;
}

/**
 * Says why a process has the identities that it has, or none.
 * @param everything true on the admin socket: other processes, near entries and the node. On the public socket a
 *   caller learns its own selectors and the class of the cause.
 */
export function explainService(
  store: IdentityStore,
  attest: AttestWorkload,
  everything: boolean,
): ServiceImpl<typeof Explain, WorkloadCaller> {
  return {
    async explain({ pid }, call) {
      const other = pid !== 0 && pid !== call.caller.workload.pid;
      if (!other)
        return create(
          ExplainResponseSchema,
          await explain(store, attest, call.caller.workload, call, everything),
        );
      if (!everything) {
        throw new TouchmarkError('explain_not_allowed', 'a caller may ask about itself only');
      }
      const workload = await workloadOfPid(pid);
      try {
        return create(ExplainResponseSchema, await explain(store, attest, workload, call, true));
      } finally {
        workload.process.close();
      }
    },
  };
}

async function explain(
  store: IdentityStore,
  attest: AttestWorkload,
  workload: Workload,
  { signal }: Pick<Call<unknown>, 'signal'>,
  everything: boolean,
): Promise<Answer> {
  const node = everything ? { node: nodeOf(store) } : {};
  let attestation: Attestation;
  try {
    attestation = await attest(workload, signal);
  } catch (error) {
    return { pid: workload.pid, ...node, ...failedAttestation(error) };
  }
  const { selectors, attestors } = attestation;
  const entries = store.matching(selectors);
  const near = everything && entries.length === 0 ? { near: nearOf(store, attestation) } : {};
  return {
    pid: workload.pid,
    selectors: [...selectors],
    attestors: attestors.map(({ name, error }) => ({ name, ok: error === undefined, error: error ?? '' })),
    identities: entries.map((entry, index) => identityOf(store, entry, index === 0)),
    ...causeOf(store, attestation, entries),
    ...near,
    ...node,
  };
}

function failedAttestation(
  error: unknown,
): Finding & { attestors: { name: string; ok: boolean; error: string }[] } {
  const gone = hasCode(error, 'peer_gone', 'peer_changed');
  const listed = hasCode(error, 'workload_attestation_failed') ? error.detail['attestors'] : [];
  const attestors = (listed as Attestation['attestors']).map(({ name, error: why }) => ({
    name,
    ok: why === undefined,
    error: why ?? '',
  }));
  return { cause: gone ? Cause.PROCESS : Cause.ATTESTOR, message: messageOf(error), attestors };
}

/** The first thing in the way: the node, then the entry, then an attestor without which an entry may not have matched. */
function causeOf(store: IdentityStore, attestation: Attestation, entries: readonly Entry[]): Finding {
  const { phase, reasons } = store.status;
  if (phase === 'withdrawn') {
    const why = reasons.map(({ code, message }) => `${code}: ${message}`).join('; ');
    return {
      cause: Cause.NODE,
      message: `the server withdrew this host's identities${why ? ` (${why})` : ''}`,
    };
  }
  if (phase === 'starting') return { cause: Cause.NODE, message: 'this host has not been attested yet' };
  if (entries.length === 0) {
    const failed = attestation.attestors.filter(({ error }) => error !== undefined).map(({ name }) => name);
    if (failed.length > 0) {
      return {
        cause: Cause.ATTESTOR,
        message: `no entry matches, and selectors of ${failed.join(', ')} are missing`,
      };
    }
    return { cause: Cause.ENTRY, message: 'no entry of this host has only selectors that this process has' };
  }
  if (entries.some((entry) => store.x509(entry.id)))
    return { cause: Cause.NONE, message: 'an identity is issued' };
  if (!store.status.connected) {
    return { cause: Cause.SERVER, message: 'an entry matches, but the server cannot be reached to sign' };
  }
  return { cause: Cause.NONE, message: 'an entry matches; its SVID is signed when it is asked for' };
}

function identityOf(store: IdentityStore, entry: Entry, first: boolean) {
  const held = store.x509(entry.id);
  return {
    spiffeId: idOf(entry.spiffeId),
    entryId: entry.id,
    hint: entry.hint,
    expiresAt: BigInt(held?.expiresAt ?? 0),
    default: first,
    weak: weakSelectors(entry),
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
