/** What the server's rooms ask of measurement, and what its own files ask of one another. */
import type { Appraisal, Evidence } from '../../measure/appraise/contract.js';
import type { HostGroup, ResolvedPolicy } from '../../measure/policy/model.js';
import type { AppraisalRecord, EvidenceRecord, Host } from '../model.js';

/** The policy that a host is judged by, and why it is this one. */
export interface InForce {
  readonly group: HostGroup;
  readonly policy: ResolvedPolicy;
}

/** Policies, reference sets and groups as they are published now; read in memory. */
export interface PolicyBook extends Disposable {
  /** By the host's labels; undefined: no group matches. The same object while nothing changes. */
  policyFor(host: Pick<Host, 'id' | 'labels'>): InForce | undefined;
  /** After a change was committed, or a window of time began or ended: hosts may be judged otherwise now. */
  onChange(listener: () => void): () => void;
}

/** Evidence with its logs, in the form that `appraise` takes without a state. */
export interface ArchivedEvidence {
  readonly record: EvidenceRecord;
  /** Whole logs, up to what the quote vouched for. */
  readonly evidence: Evidence;
}

/** What was shown, kept for a set time. */
export interface EvidenceArchive {
  /** The newest evidence of a host, whatever its verdict. */
  latest(hostId: string): Promise<ArchivedEvidence | undefined>;
  get(hostId: string, evidenceId: string): Promise<ArchivedEvidence | undefined>;
  /** Newest first, without the logs. */
  history(hostId: string, limit: number): Promise<readonly EvidenceRecord[]>;
}

export interface Measurements extends Disposable {
  readonly archive: EvidenceArchive;
  /** The last judgement, of this very moment: what is stored may be older by ticks that changed nothing. */
  current(hostId: string): { readonly record: AppraisalRecord; readonly appraisal?: Appraisal } | undefined;
  /** Unix milliseconds of the last good quote, 0: none since the server began. */
  lastEvidenceAt(hostId: string): number;
  /**
   * Whether a file of this digest (`sha256:<hex>`) is in the part of the host's IMA list that quotes of this boot vouch
   * for. It says that the kernel measured it, not which process runs it.
   */
  isMeasured(hostId: string, digest: string): boolean;
  /** Asks a host for evidence now. */
  tickNow(hostId: string): void;
  /** Asks for evidence and waits for it, so long at most; whether it came. Callers for one host share one tick. */
  freshEvidence(hostId: string, withinMs: number): Promise<boolean>;
}
