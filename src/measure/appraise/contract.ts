/** What is judged, what is remembered between two judgements, and what is said. Plain data: it crosses threads and is stored. */
import type { PcrValues } from '../../tpm/pcr.js';
import type { QuoteFacts } from '../../tpm/quote.js';
import type { ComponentName } from '../policy/model.js';

export const logKinds = ['boot-log', 'userspace-log', 'ima-list'] as const;
export type LogKind = (typeof logKinds)[number];

/** One log as far as this evidence brings it. */
export type LogPart =
  /** From `offset` on. */
  | { readonly kind: 'bytes'; readonly offset: number; readonly bytes: Uint8Array }
  /** As in the state. */
  | { readonly kind: 'unchanged' }
  /** The host says that it has none, or cannot read it; the quote tells whether that can be. */
  | { readonly kind: 'absent'; readonly reason: string };

/** A verified quote with the logs that are to explain it. */
export interface Evidence {
  /** Unix milliseconds at which the server took it: the only time that a judgement knows. */
  readonly at: number;
  /** Of `verifyQuote`: signature, nonce, signer and selection were checked. */
  readonly quote: QuoteFacts;
  /** Values that reproduce the quoted digest, and are thereby authentic; absent when they are not known. */
  readonly pcrValues?: PcrValues | undefined;
  /** Where they are not: values that some registers may have had. They count if, with what logs give, they reproduce the digest. */
  readonly hints?: PcrValues | undefined;
  readonly logs: Readonly<Record<LogKind, LogPart>>;
}

/** How much of the logs quotes have vouched for. Offsets are bytes. */
export interface Confirmed {
  readonly bootLog: number;
  readonly userspaceLog: number;
  readonly userspaceEvents: number;
  readonly imaList: number;
  readonly imaEntries: number;
}

export type ComponentResult = 'pass' | 'warn' | 'fail' | 'unknown';

/** Why a component is not simply good. */
export interface ComponentReason {
  /** Stable, see `reasons.ts`, which holds the remedy. */
  readonly code: string;
  readonly message: string;
  readonly log?: LogKind;
  /** Index of the event in that log, as `inspect` counts. */
  readonly event?: number;
  readonly pcr?: number;
  /** A value that the operator could accept: a digest, a path, a command line. */
  readonly value?: string;
}

export interface ComponentAppraisal {
  readonly component: ComponentName;
  readonly result: ComponentResult;
  /** The first ones; `more` tells how many are not shown. */
  readonly reasons: readonly ComponentReason[];
  readonly more: number;
  /** Measurements that were compared with the policy. */
  readonly checked: number;
}

/** One quoted register, and whether the logs explain it. */
export interface PcrAppraisal {
  readonly pcr: number;
  /** Hex; empty when only the digest over all registers is known. */
  readonly quoted: string;
  /** Hex: what the logs give, or the start value where nothing extends it. */
  readonly derived: string;
  readonly from: LogKind | 'start';
  readonly explained: boolean;
}

export type MeasuredVerdict = 'trusted' | 'suspect' | 'drifted' | 'unmeasured';

export interface Explanation {
  /** Of `ResolvedPolicy`; empty when no policy applies. */
  readonly policyId: string;
  readonly policyName: string;
  readonly components: readonly ComponentAppraisal[];
  readonly pcrs: readonly PcrAppraisal[];
}

/**
 * What is remembered of one boot of one host. Its owner knows these fields; `appraise` adds its own. It can always be had
 * again by judging the stored evidence with whole logs and no state.
 */
export interface BootState {
  /** The policy that the remembered results are of: under another one, whole logs are judged anew. */
  readonly policyId: string;
  readonly resetCount: number;
  readonly restartCount: number;
  readonly confirmed: Confirmed;
  /** Hex; empty: the host has none. */
  readonly bootLogSha256: string;
}

export interface Appraisal<State extends BootState = BootState> {
  readonly verdict: MeasuredVerdict;
  readonly newState: State;
  readonly explanation: Explanation;
  readonly confirmed: Confirmed;
  /** Labels of the accepted unified image that this boot started; none unless the boot chain is good. */
  readonly ukis: readonly string[];
}
