/** What a host showed, as far as the archive can be read: whatever cannot be keeps nothing else from being looked at. */
import { messageOf } from '../../errors.js';
import type { Logger } from '../../log.js';
import { appraise } from '../../measure/appraise/appraise.js';
import type { Evidence, LogKind, PcrAppraisal } from '../../measure/appraise/contract.js';
import type { ArchivedEvidence, EvidenceArchive } from '../measurements/contract.js';
import type { EvidenceRecord } from '../model.js';

export interface KeptEvidence {
  readonly latest: ArchivedEvidence | undefined;
  /** Newest first. */
  readonly history: readonly EvidenceRecord[];
  /** What is to be told of it. */
  readonly note: string | undefined;
}

interface Source {
  readonly archive: Pick<EvidenceArchive, 'latest' | 'history'>;
  readonly log: Logger;
}

export async function keptEvidence(
  { archive, log }: Source,
  hostId: string,
  historyShown: number,
): Promise<KeptEvidence> {
  let failed = false;
  const read = async <T>(reading: Promise<T>): Promise<T | undefined> => {
    try {
      return await reading;
    } catch (error) {
      failed = true;
      log.warn('kept evidence cannot be shown', { host_id: hostId, error: messageOf(error) });
      return undefined;
    }
  };
  const latest = await read(archive.latest(hostId));
  const history = (await read(archive.history(hostId, historyShown))) ?? [];
  const note = failed ? 'Some of the kept evidence cannot be read; the server’s log says why.' : undefined;
  return { latest, history, note };
}

export function logBytes(evidence: ArchivedEvidence | undefined, kind: LogKind): Uint8Array | undefined {
  const part = evidence?.evidence.logs[kind];
  return part?.kind === 'bytes' ? part.bytes : undefined;
}

/**
 * Whether the logs of a boot explain its registers: by kept evidence, where the server has judged nothing since it began. The
 * run-time list is left out, for it may be long; so PCR 10 says nothing here. Undefined: not known.
 */
export function explainedRegisters({ evidence }: ArchivedEvidence): readonly PcrAppraisal[] | undefined {
  if (evidence.pcrValues === undefined) return undefined;
  const logs: Evidence['logs'] = { ...evidence.logs, 'ima-list': { kind: 'absent', reason: 'left out' } };
  try {
    return appraise({ ...evidence, logs }, undefined, undefined).explanation.pcrs;
  } catch {
    return undefined;
  }
}
