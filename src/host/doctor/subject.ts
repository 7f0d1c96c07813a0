import type { TpmDevice } from '../tpm.js';
import type { DoctorFinding } from './findings.js';

/** What is examined: paths as they are on a real host, or as a test laid them. */
export interface Subject {
  readonly tcti: string;
  readonly endorsementAuth?: Uint8Array;
  readonly securityfs: string;
  readonly userspaceLog: string;
  readonly dataDir: string;
  readonly socketPath: string;
  readonly server?: { readonly address: string; readonly port: number };
  readonly machine: Machine;
}

/** What is the same on every host. */
export interface Machine {
  readonly proc: string;
  readonly sys: string;
  readonly passwdFile: string;
  readonly groupFile: string;
  readonly timesyncMark: string;
  /** What the kernel says; undefined where it may not be asked. */
  readonly clockSynchronised: boolean | undefined;
  readonly kernelRelease: string;
  readonly root: boolean;
  /** Unix milliseconds. */
  readonly now: number;
}

/** One part of the examination; the chip is there for those that need it, if it opens. */
export type Examination = (subject: Subject, tpm: TpmDevice | undefined) => Promise<DoctorFinding[]>;

/** Of a failed system call; empty for other errors. */
export function errnoOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? '';
}

export function isDenied(error: unknown): boolean {
  return ['EACCES', 'EPERM'].includes(errnoOf(error));
}

export function isAbsent(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR', 'ENODEV'].includes(errnoOf(error));
}
