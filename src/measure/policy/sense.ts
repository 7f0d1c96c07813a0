/** What a schema cannot say: patterns that are patterns, keys that are keys, and rules that would check nothing. */
import { createPublicKey } from 'node:crypto';
import { messageOf } from '../../errors.js';
import { checkGlob, compileGlob } from './glob.js';
import type { FileReference, HostGroup, MeasurementPolicy, ReferenceSet } from './model.js';
import type { ManifestProblem } from './problem.js';

type Path = readonly (string | number)[];

/** Texts without anything in common: a glob that matches all of a kind matches everything. */
const probes = {
  paths: ['/usr/bin/bash', '/tmp/x', '/home/a/.b', '/lib/modules/6.1/k.ko', '/opt/Q'],
  texts: ['BOOT_IMAGE=/vmlinuz', 'root=/dev/sda1 quiet', 'machine-id:0f', 'x'],
};

export function groupProblems({ labels }: HostGroup): ManifestProblem[] {
  return Object.entries(labels).flatMap(([key, pattern]) => globProblem(['labels', key], pattern));
}

export function setProblems({ files, fileSigners }: ReferenceSet): ManifestProblem[] {
  return [...pathProblems(['files'], files), ...fileSigners.flatMap(signerProblem)];
}

export function policyProblems(policy: MeasurementPolicy): ManifestProblem[] {
  const { commandLine, userspace, runtime } = policy;
  return [
    ...globProblems(['commandLine', 'accept'], commandLine?.accept),
    ...globProblems(['commandLine', 'require'], commandLine?.require),
    ...globProblems(['commandLine', 'forbid'], commandLine?.forbid),
    ...globProblems(['userspace', 'accept'], userspace?.accept),
    ...globProblems(['runtime', 'exclude'], runtime?.exclude),
    ...pathProblems(['runtime', 'accept'], runtime?.accept ?? []),
    ...nothingProblems(policy),
  ];
}

/** Rules that would pass whatever a host shows, or have nothing to compare with: both look checked and are not. */
function nothingProblems(policy: MeasurementPolicy): ManifestProblem[] {
  const { firmware, firmwareConfig, secureBoot, bootChain, commandLine, userspace, runtime } = policy;
  const all = [firmware, firmwareConfig, secureBoot, bootChain, commandLine, userspace, runtime];
  const rules = all.filter((rule) => rule !== undefined);
  if (rules.length === 0) {
    return [nothing([], 'no component has a rule; write at least one, as secureBoot: {}')];
  }
  if (policy.mode === 'enforce' && rules.every(({ onFail }) => onFail === 'warn')) {
    return [
      nothing([], 'every rule only warns, so that every host would be trusted; write mode: report for that'),
    ];
  }
  const sets = policy.references.length > 0 || policy.acceptNext.length > 0;
  return [
    ...(sets ? [] : withoutSets(policy)),
    ...acceptingAll(policy),
    ...(runtime === undefined ? [] : runtimeProblems(runtime, policy.mode, sets)),
  ];
}

function nothing(path: Path, message: string): ManifestProblem {
  return { code: 'policy_checks_nothing', path, message };
}

/** Rules of a policy that names no sets, and say nothing themselves. */
function withoutSets(policy: MeasurementPolicy): ManifestProblem[] {
  const { firmware, firmwareConfig, bootChain, secureBoot, commandLine } = policy;
  const problems = [];
  for (const [key, rule] of Object.entries({ firmware, firmwareConfig, bootChain })) {
    if (rule?.accept.length === 0) {
      problems.push(nothing([key], 'has nothing to compare with: name references, or accept digests'));
    }
  }
  if (secureBoot !== undefined && isEmptyRule(secureBoot)) {
    problems.push(nothing(['secureBoot'], 'asks neither for Secure Boot nor for any key'));
  }
  if (commandLine !== undefined && isEmptyRule(commandLine)) {
    problems.push(
      nothing(['commandLine'], 'has nothing to compare with: name references, or accept, require, forbid'),
    );
  }
  return problems;
}

function acceptingAll({ commandLine, userspace }: MeasurementPolicy): ManifestProblem[] {
  const everything = (glob: string) => matchesAll(glob, probes.texts);
  const problems = [];
  if (commandLine?.accept.some(everything) && isEmptyRule({ ...commandLine, accept: [] })) {
    const advice = 'require or forbid words, or be narrower';
    problems.push(nothing(['commandLine', 'accept'], `accepts every command line; ${advice}`));
  }
  if (userspace?.accept.some(everything)) {
    problems.push(nothing(['userspace', 'accept'], 'accepts everything that user space measures'));
  }
  return problems;
}

function runtimeProblems(
  { accept, signed, rules, exclude }: NonNullable<MeasurementPolicy['runtime']>,
  mode: MeasurementPolicy['mode'],
  sets: boolean,
): ManifestProblem[] {
  const problems = [];
  if (!sets && accept.length === 0) {
    const keys = signed ? 'the keys of signed files come from reference sets: name one' : undefined;
    problems.push(
      nothing(['runtime'], keys ?? 'has nothing to compare with: name references, or accept files'),
    );
  }
  if (mode === 'enforce' && rules.policies.length === 0 && rules.commandLine.length === 0) {
    const why = 'without rules that make IMA measure, an empty list would look healthy';
    problems.push(nothing(['runtime', 'rules'], `${why}: name policies, or commandLine: [ima_policy=tcb]`));
  }
  const all = exclude.findIndex((glob) => matchesAll(glob, probes.paths));
  if (all >= 0) problems.push(nothing(['runtime', 'exclude', all], 'leaves out every file'));
  return problems;
}

/** Whether all that a rule could compare with is empty, and it asks for nothing. */
function isEmptyRule(rule: object): boolean {
  return Object.entries(rule).every(
    ([key, value]) =>
      key === 'onFail' || value === false || value === '' || (Array.isArray(value) && value.length === 0),
  );
}

function pathProblems(path: Path, files: readonly FileReference[]): ManifestProblem[] {
  return files.flatMap((file, index) =>
    file.path === '' ? [] : globProblem([...path, index, 'path'], file.path),
  );
}

function globProblems(path: Path, globs: readonly string[] = []): ManifestProblem[] {
  return globs.flatMap((glob, index) => globProblem([...path, index], glob));
}

/** A pattern that is none matches nothing: that it is none is told elsewhere. */
function matchesAll(glob: string, texts: readonly string[]): boolean {
  return globProblem([], glob).length === 0 && texts.every(compileGlob(glob));
}

function globProblem(path: Path, glob: string): ManifestProblem[] {
  try {
    checkGlob(glob);
    return [];
  } catch (error) {
    return [{ code: 'glob_invalid', path, message: messageOf(error) }];
  }
}

function signerProblem(pem: string, index: number): ManifestProblem[] {
  const bad = (message: string): ManifestProblem[] => [
    { code: 'manifest_invalid', path: ['fileSigners', index], message },
  ];
  if (pem.includes('PRIVATE KEY')) return bad('holds a private key; give the certificate or the public key');
  try {
    createPublicKey(pem);
    return [];
  } catch {
    return bad('is no certificate and no public key in PEM');
  }
}
