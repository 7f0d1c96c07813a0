import { messageOf, TouchmarkError } from '../../errors.js';
import { readProcIds } from '../../host/proc.js';
import { compareText } from '../../spiffe/entry.js';
import { formatSelector, type Selector } from '../../spiffe/selector.js';
import type { Workload, WorkloadAttestor } from '../workload-attestors/contract.js';

export interface AttestorOutcome {
  readonly name: string;
  /** Why this one could not tell; absent when it could. */
  readonly error?: string;
}

/** What is known of a workload at one moment. */
export interface Attestation {
  readonly selectors: readonly Selector[];
  readonly attestors: readonly AttestorOutcome[];
}

export type AttestWorkload = (workload: Workload, signal: AbortSignal) => Promise<Attestation>;

/**
 * Finds a workload's selectors: first that the process still is who connected, then every attestor, then that it
 * still runs, so that all that was read between belongs to it. Does not establish that the process alone holds the
 * connection: a descriptor may be passed on.
 * @throws TouchmarkError `peer_gone`, `peer_changed`, `workload_attestation_failed` when no attestor could tell
 */
export function createWorkloadAttestation(attestors: readonly WorkloadAttestor[]): AttestWorkload {
  return async (workload, signal) => {
    await checkStillWhoConnected(workload);
    const results = await Promise.allSettled(attestors.map((attestor) => attestor.attest(workload, signal)));
    await checkStillWhoConnected(workload);
    const outcomes = results.map((result, index) => outcomeOf(attestors[index]?.name ?? '', result));
    if (outcomes.every(({ error }) => error !== undefined)) {
      const detail = { attestors: outcomes, pid: workload.pid };
      throw new TouchmarkError('workload_attestation_failed', 'workload attestation failed', { detail });
    }
    const selectors = results.flatMap((result) => (result.status === 'fulfilled' ? result.value : []));
    return { selectors: sorted(selectors), attestors: outcomes };
  };
}

/**
 * A process that connected and then executed a setuid program runs code of another user, while the descriptor may be
 * held by the first: its effective, saved and file system ids are no longer the socket's.
 */
async function checkStillWhoConnected({ pid, uid, gid, process }: Workload): Promise<void> {
  const { uids, gids } = await readProcIds(pid);
  if (!process.alive()) throw new TouchmarkError('peer_gone', `process ${pid} has ended`);
  const [, effectiveUid, savedUid, fsUid] = uids;
  const [, effectiveGid, savedGid, fsGid] = gids;
  const sameUser = effectiveUid === uid && savedUid === uid && fsUid === uid;
  const sameGroup = effectiveGid === gid && savedGid === gid && fsGid === gid;
  if (sameUser && sameGroup) return;
  throw new TouchmarkError(
    'peer_changed',
    `process ${pid} no longer runs as the user and group that connected`,
    {
      detail: { uid, gid, uids, gids },
    },
  );
}

function outcomeOf(name: string, result: PromiseSettledResult<unknown>): AttestorOutcome {
  return result.status === 'fulfilled' ? { name } : { name, error: messageOf(result.reason) };
}

function sorted(selectors: readonly Selector[]): Selector[] {
  const unique = new Map(selectors.map((selector) => [formatSelector(selector), selector]));
  return [...unique].sort(([a], [b]) => compareText(a, b)).map(([, selector]) => selector);
}
