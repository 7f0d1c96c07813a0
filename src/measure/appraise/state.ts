import { type HashName, hashByName } from '../../tpm/algorithms.js';
import type { ComponentName } from '../policy/model.js';
import type { BootState } from './contract.js';
import type { MeasuredPiece } from './measured-piece.js';
import type { ReasonCode } from './reasons.js';
import { emptyTally, type Tally } from './tally.js';

/**
 * What one boot of one host has shown so far: results, not logs. Plain data that can be cloned and is never changed, so
 * that a newer state may share parts with an older one.
 */
export interface AppraisalState extends BootState {
  /** Bank of the quotes. */
  readonly bank: HashName;
  /** Which accept-next windows were open; results hold for these alone. */
  readonly windows: string;
  readonly boot: BootFacts;
  readonly userspace: UserspaceFacts;
  readonly ima: ImaFacts;
}

/** Why a log says nothing, or nothing more. */
export interface LogProblem {
  readonly code: ReasonCode;
  readonly message: string;
}

/** A kernel command line that the logs show. */
export interface CommandLine {
  /** `kernel` is what the kernel's own stub was given, and thereby what counts where it is there. */
  readonly source: 'grub' | 'uki' | 'stub' | 'kernel' | 'kexec';
  /** Undefined where only a digest is measured that is of no text we know. */
  readonly text: string | undefined;
  /** Whether the policy names it, as a whole or by a glob. */
  readonly accepted: boolean;
  /** Words that the policy requires and that it does not have. */
  readonly lacks: readonly string[];
  /** Whether it is accepted and sets IMA rules that the policy names. */
  readonly setsRules: boolean;
  readonly pcr: number;
  readonly event: number;
}

export interface BootFacts {
  readonly length: number;
  readonly sha256: string;
  /** Absent, cut off, or without the quoted bank: then there are no values. */
  readonly problem?: LogProblem;
  /** Registers after the whole log; only those that it extends. */
  readonly pcrs: ReadonlyMap<number, Uint8Array>;
  /** Registers of which some event has no digest of the quoted bank: whatever they hold, nothing explains it. */
  readonly gaps: ReadonlySet<number>;
  /** Events that extend, by register. */
  readonly events: ReadonlyMap<number, number>;
  readonly judged: Readonly<Partial<Record<ComponentName, Tally>>>;
  readonly commandLines: readonly CommandLine[];
  /** Labels of the accepted unified image that was started, by its digest in PCR 4 and its sections in PCR 11. */
  readonly ukis: readonly string[];
}

export interface UserspaceFacts {
  readonly problem?: LogProblem;
  /** Bytes and records that a quote has confirmed. */
  readonly bytes: number;
  readonly events: number;
  /** Registers after the confirmed records; only those that they extend. */
  readonly pcrs: ReadonlyMap<number, Uint8Array>;
  readonly judged: Tally;
}

export interface ImaFacts {
  readonly problem?: LogProblem;
  /** Bytes and entries that a quote has confirmed. */
  readonly bytes: number;
  readonly entries: number;
  /** PCR 10 after them. */
  readonly value: Uint8Array;
  readonly judged: Tally;
  /** Second boot aggregates and command lines given to kexec: for the boot chain. */
  readonly kexec: Tally;
  readonly commandLines: readonly CommandLine[];
  /** The first entry's digest of the boot, as `sha256:<hex>`; empty: there is none. */
  readonly aggregate: string;
  /** Entry that measured an accepted IMA policy; 0: none did. */
  readonly rulesAt: number;
  /** Entries that a glob of the policy hides. */
  readonly excluded: number;
  readonly violations: number;
  /** The agent's files that were seen with an accepted digest, by the path of their reference. */
  readonly agentFiles: ReadonlySet<string>;
  /** Digests of measured files, in pieces that are shared between states; see is-measured.ts. */
  readonly measured: readonly MeasuredPiece[];
}

export const noBootLog: BootFacts = {
  length: 0,
  sha256: '',
  pcrs: new Map(),
  gaps: new Set(),
  events: new Map(),
  judged: {},
  commandLines: [],
  ukis: [],
};

export const noUserspaceLog: UserspaceFacts = {
  bytes: 0,
  events: 0,
  pcrs: new Map(),
  judged: emptyTally,
};

export function noImaList(bank: HashName): ImaFacts {
  return {
    bytes: 0,
    entries: 0,
    value: new Uint8Array(hashByName(bank).size),
    judged: emptyTally,
    kexec: emptyTally,
    commandLines: [],
    aggregate: '',
    rulesAt: 0,
    excluded: 0,
    violations: 0,
    agentFiles: new Set(),
    measured: [],
  };
}
