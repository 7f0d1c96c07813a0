/** What a schema cannot say: patterns that are patterns, keys that are keys, and rules that would check nothing. */
import { createPublicKey } from 'node:crypto';
import { messageOf } from '../../errors.js';
import { nearest } from '../../nearest.js';
import { measuringTypeNames } from '../boot/event-types.js';
import { checkGlob } from './glob.js';
import type { DigestRule, FileReference, HostGroup, MeasurementPolicy, ReferenceSet } from './model.js';
import { nothingProblems, passAllProblems } from './nothing.js';
import type { ManifestProblem } from './problem.js';
import { MAX_STARRED, starredLength } from './starred.js';
import { shown } from './validate.js';

type Path = readonly (string | number)[];

export function groupProblems({ labels = {} }: Partial<HostGroup>): ManifestProblem[] {
  return Object.entries(labels).flatMap(([key, pattern]) => globProblem(['labels', key], pattern));
}

export function setProblems({ files, fileSigners = [] }: Partial<ReferenceSet>): ManifestProblem[] {
  return [...pathProblems(['files'], files), ...fileSigners.flatMap(signerProblem)];
}

export function policyProblems(policy: MeasurementPolicy): ManifestProblem[] {
  const patterns = patternProblems(policy);
  // What judges is made of patterns that are some: with others it cannot be asked what it would let through.
  return [...patterns, ...nothingProblems(policy), ...(patterns.length === 0 ? passAllProblems(policy) : [])];
}

/** Of the rules that are there: all that can be said of each by itself. */
export function patternProblems(policy: Partial<MeasurementPolicy>): ManifestProblem[] {
  const { firmware, firmwareConfig, commandLine, userspace, runtime } = policy;
  return [
    ...typeProblems('firmware', firmware),
    ...typeProblems('firmwareConfig', firmwareConfig),
    ...globProblems(['commandLine', 'accept'], commandLine?.accept),
    ...globProblems(['commandLine', 'require'], commandLine?.require),
    ...globProblems(['commandLine', 'forbid'], commandLine?.forbid),
    ...globProblems(['userspace', 'accept'], userspace?.accept),
    ...globProblems(['runtime', 'exclude'], runtime?.exclude),
    ...pathProblems(['runtime', 'accept'], runtime?.accept),
  ];
}

/** A misspelt type would leave nothing out, and look as if it did. */
function typeProblems(key: 'firmware' | 'firmwareConfig', rule: DigestRule | undefined): ManifestProblem[] {
  return (rule?.ignoreTypes ?? []).flatMap((type, index) => {
    if (measuringTypeNames.includes(type)) return [];
    const message = `${shown(type)} is no type of an event that measures${nearest(type, measuringTypeNames)}`;
    return [{ code: 'manifest_invalid', path: [key, 'ignoreTypes', index], message }];
  });
}

function pathProblems(path: Path, files: readonly FileReference[] = []): ManifestProblem[] {
  const problems = files.flatMap((file, index) =>
    file.path === '' ? [] : globProblem([...path, index, 'path'], file.path),
  );
  const length = starredLength(files);
  if (length <= MAX_STARRED) return problems;
  const message = `patterns with stars have ${length} characters; at most ${MAX_STARRED}: write paths, or fewer patterns`;
  return [...problems, { code: 'glob_invalid', path, message }];
}

function globProblems(path: Path, globs: readonly string[] = []): ManifestProblem[] {
  return globs.flatMap((glob, index) => globProblem([...path, index], glob));
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
