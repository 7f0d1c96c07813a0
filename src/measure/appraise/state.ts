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
  /** Whether it is accepted and sets the IMA rules that the policy asks for. */
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
  /** Events of PCR 8, 9 and 12 that nothing names: under whatever label, each may be a command line. */
  readonly uncertainLines: Tally;
  /** Events that nothing names in registers that user space extends: each may be one of its records. */
  readonly uncertainRecords: Tally;
}

/** What the records of user space come to, for each component that they concern. */
export interface UserspaceTallies {
  /** For `userspace` itself. */
  readonly judged: Tally;
  /** Records that nothing accepts, in registers that the boot extends: each may be an event of the boot. */
  readonly moved: Tally;
  /** Records without a text that anybody can read: each may be a command line, though its digest is accepted. */
  readonly untold: Tally;
}

export interface UserspaceFacts extends UserspaceTallies {
  /** Bytes and records that a quote has confirmed. */
  readonly bytes: number;
  readonly events: number;
  /** Registers after the confirmed records; only those that they extend. */
  readonly pcrs: ReadonlyMap<number, Uint8Array>;
}

export interface ImaFacts {
  /** Bytes and entries that a quote has confirmed. */
  readonly bytes: number;
  readonly entries: number;
  /** PCR 10 after them. */
  readonly value: Uint8Array;
  readonly judged: Tally;
  /** Second boot aggregates and command lines given to kexec: for the boot chain. */
  readonly kexec: Tally;
  /** Entries that cannot be told: each may be one of those. */
  readonly obscured: Tally;
  /** Whether a command line was measured that no second boot aggregate has followed yet. */
  readonly lineAhead: boolean;
  /** The second boot aggregate of which no command line was measured; 0: none. */
  readonly lineless: number;
  readonly commandLines: readonly CommandLine[];
  /** The first entry's digest of the boot, as `sha256:<hex>`; empty: there is none. */
  readonly aggregate: string;
  /** Entry that measured an accepted IMA policy where it is loaded from; 0: none did. */
  readonly rulesAt: number;
  /** Entries that a glob of the policy hides. */
  readonly excluded: number;
  readonly violations: number;
  /** References to the agent's files that the list answers to, see agent-files.ts. */
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
  uncertainLines: emptyTally,
  uncertainRecords: emptyTally,
};

export const noUserspaceLog: UserspaceFacts = {
  bytes: 0,
  events: 0,
  pcrs: new Map(),
  judged: emptyTally,
  moved: emptyTally,
  untold: emptyTally,
};

export function noImaList(bank: HashName): ImaFacts {
  return {
    bytes: 0,
    entries: 0,
    value: new Uint8Array(hashByName(bank).size),
    judged: emptyTally,
    kexec: emptyTally,
    obscured: emptyTally,
    lineAhead: false,
    lineless: 0,
    commandLines: [],
    aggregate: '',
    rulesAt: 0,
    excluded: 0,
    violations: 0,
    agentFiles: new Set(),
    measured: [],
  };
}
