import type {
  Digest,
  DigestReference,
  MeasurementPolicy,
  ReferenceSet,
  ResolvedPolicy,
} from '../policy/model.js';
import { type AgentFiles, agentFiles } from './agent-files.js';
import { type CommandLineLookup, commandLineLookup } from './command-line-lookup.js';
import { type FileLookup, fileLookup } from './file-lookup.js';
import { type FileSigners, fileSigners } from './ima-signers.js';
import { type UkiLookup, ukiLookup } from './uki-lookup.js';
import { type UserspaceLookup, userspaceLookup } from './userspace-lookup.js';

/** A policy as it is looked things up in, for one set of open accept-next windows. */
export interface Compiled {
  readonly policy: MeasurementPolicy;
  readonly firmware: ReadonlySet<Digest>;
  readonly firmwareConfig: ReadonlySet<Digest>;
  /** Whole events of PCR 7. */
  readonly secureBoot: ReadonlySet<Digest>;
  readonly bootChain: ReadonlySet<Digest>;
  readonly ukis: UkiLookup;
  readonly commandLines: CommandLineLookup;
  readonly userspace: UserspaceLookup;
  readonly files: FileLookup;
  readonly signers: FileSigners;
  readonly agent: AgentFiles;
  readonly imaPolicies: ReadonlySet<Digest>;
}

const compiled = new WeakMap<ResolvedPolicy, Map<string, Compiled>>();

/** Names the accept-next windows that are open at a time: judgements under other windows may differ. */
export function openWindows(policy: ResolvedPolicy | undefined, at: number): string {
  const open = policy?.next.flatMap(({ from, until }, index) => (from <= at && at < until ? [index] : []));
  return (open ?? []).join(',');
}

/** The same object for the same policy and windows. */
export function compilePolicy(resolved: ResolvedPolicy, windows: string): Compiled {
  const known = compiled.get(resolved) ?? new Map<string, Compiled>();
  compiled.set(resolved, known);
  const found = known.get(windows);
  if (found) return found;
  const made = compile(resolved, windows);
  // Windows open and close seldom; of those that are over, nothing is kept for long.
  if (known.size >= 4) known.clear();
  known.set(windows, made);
  return made;
}

function compile({ policy, references, next }: ResolvedPolicy, windows: string): Compiled {
  const open =
    windows === '' ? [] : windows.split(',').flatMap((index) => next[Number(index)]?.references ?? []);
  const sets = [...new Set([...references, ...open])];
  return {
    policy,
    firmware: digests(sets, ({ firmware }) => firmware, policy.firmware?.accept),
    firmwareConfig: digests(sets, ({ firmwareConfig }) => firmwareConfig, policy.firmwareConfig?.accept),
    secureBoot: digests(sets, ({ secureBoot }) => secureBoot, policy.secureBoot?.accept),
    bootChain: digests(sets, ({ bootChain }) => bootChain, policy.bootChain?.accept),
    ukis: ukiLookup(sets),
    commandLines: commandLineLookup(sets, policy.commandLine),
    userspace: userspaceLookup(
      digests(sets, ({ userspace }) => userspace),
      policy.userspace,
    ),
    files: fileLookup(sets, policy.runtime),
    signers: fileSigners(policy.runtime?.signed === true ? sets : []),
    agent: agentFiles(sets, policy.runtime),
    imaPolicies: new Set(policy.runtime?.rules.policies),
  };
}

function digests(
  sets: readonly ReferenceSet[],
  rows: (set: ReferenceSet) => readonly DigestReference[],
  more: readonly Digest[] = [],
): Set<Digest> {
  return new Set([...sets.flatMap((set) => rows(set).map(({ digest }) => digest)), ...more]);
}
