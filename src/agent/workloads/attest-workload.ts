import { hasCode, messageOf, TouchmarkError } from '../../errors.js';
import { procIdsNow } from '../../host/proc-now.js';
import { compareText } from '../../spiffe/entry.js';
import { formatSelector, type Selector } from '../../spiffe/selector.js';
import { nothingToTell, type Workload, type WorkloadAttestor } from '../workload-attestors/contract.js';

export interface AttestorOutcome {
  readonly name: string;
  /** Why it has no selectors for this process; absent when it has. */
  readonly error?: string;
  /** The attestor itself could not do its work: it might have found more. */
  readonly failed: boolean;
}

/** What is known of a workload at one moment. */
export interface Attestation {
  /** Sorted by their written form. */
  readonly selectors: readonly Selector[];
  readonly attestors: readonly AttestorOutcome[];
}

export interface WorkloadAttestation {
  /**
   * Finds a workload's selectors: first that the process still is who connected, then every attestor, then that it
   * still runs and still is, so that all that was read between belongs to it. Does not establish that the process alone
   * holds the connection: a descriptor may be passed on.
   * @throws TouchmarkError `peer_gone`, `peer_changed`, `workload_attestation_failed` when no attestor could tell
   */
  attest(workload: Workload, signal: AbortSignal): Promise<Attestation>;
  /** Calls when an attestation should be made anew. Returns how to stop listening. */
  watch(attestation: Attestation, listener: () => void): () => void;
}

export function createWorkloadAttestation(attestors: readonly WorkloadAttestor[]): WorkloadAttestation {
  return {
    async attest(workload, signal) {
      checkStillWhoConnected(workload);
      const results = await Promise.allSettled(
        attestors.map(async (attestor) => attestor.attest(workload, signal)),
      );
      checkStillWhoConnected(workload);
      const outcomes = results.map((result, index) => outcomeOf(attestors[index]?.name ?? '', result));
      if (outcomes.every(({ error }) => error !== undefined) && outcomes.some(({ failed }) => failed))
        throw attestationFailed(outcomes);
      const found = results.map((result) => (result.status === 'fulfilled' ? result.value : []));
      return { selectors: sorted(found.flat()), attestors: outcomes };
    },
    watch({ selectors }, listener) {
      const stops = attestors.map((attestor) => attestor.watch?.(selectors, listener));
      return () => {
        for (const stop of stops) stop?.();
      };
    },
  };
}

export function attestationFailed(attestors: readonly AttestorOutcome[]): TouchmarkError {
  return new TouchmarkError('workload_attestation_failed', 'workload attestation failed', {
    detail: { attestors },
  });
}

/**
 * A process that connected and then executed a setuid program runs code of another user, while the descriptor may be
 * held by the first: its effective, saved and file system ids are no longer the socket's. The real ones may differ
 * from the start. Looking at the ids also tells that the process is there; the pidfd, that it is the same one.
 */
function checkStillWhoConnected({ pid, uid, gid, process }: Workload): void {
  const { uids, gids } = procIdsNow(pid);
  if (!process.alive()) throw new TouchmarkError('peer_gone', `process ${pid} has ended`);
  if (uids.every(same(uid)) && gids.every(same(gid))) return;
  const message = `process ${pid} no longer runs as the user and group that connected`;
  throw new TouchmarkError('peer_changed', message, { detail: { uid, gid, uids, gids } });
}

function same(id: number): (shown: number, at: number) => boolean {
  return (shown, at) => at === 0 || shown === id;
}

function outcomeOf(name: string, result: PromiseSettledResult<unknown>): AttestorOutcome {
  if (result.status === 'fulfilled') return { name, failed: false };
  return { name, error: messageOf(result.reason), failed: !hasCode(result.reason, ...nothingToTell) };
}

function sorted(selectors: readonly Selector[]): Selector[] {
  const unique = new Map(selectors.map((selector) => [formatSelector(selector), selector]));
  return [...unique].sort(([a], [b]) => compareText(a, b)).map(([, selector]) => selector);
}
