import { pathText } from '../../path-text.js';
import type { FileReference } from '../model.js';
import {
  literalGlob,
  MAX_FILES,
  type MadeReferences,
  type ReferenceAbout,
  referenceSet,
  sortedFiles,
  tooManyFiles,
} from './reference-set.js';

/** A regular file as it will lie on a host. */
export interface FoundFile {
  /** Absolute, in bytes as the file system has them. */
  readonly path: Uint8Array;
  /** Permission bits. */
  readonly mode: number;
  /** Its first bytes, four at least if it has them. */
  readonly head: Uint8Array;
  readonly sha256: Uint8Array;
}

/** Directories that are links into /usr on a host with a merged /usr; packages name either. */
const merged = /^\/(bin|sbin|lib|lib32|lib64|libx32)\//;
const moduleOrFirmware = /\.ko(\.(gz|xz|zst))?$|^(\/usr)?\/lib\/firmware\//;

/** Whether a kernel runs, maps or loads the file: programs, scripts, libraries, modules, firmware. */
export function isCode({ path, mode, head }: Pick<FoundFile, 'path' | 'mode' | 'head'>): boolean {
  const start = Buffer.from(head.subarray(0, 4)).toString('latin1');
  if ((mode & 0o111) !== 0 || start === '\x7fELF' || start.startsWith('#!')) return true;
  return moduleOrFirmware.test(Buffer.from(path).toString('latin1'));
}

/**
 * References to files by digest and path: those of code, or all. IMA has to hash with SHA-256 on the hosts
 * (`ima_hash=sha256`), and measures the path that the file has after links are followed.
 */
export function fileReferences(
  about: ReferenceAbout,
  found: Iterable<FoundFile>,
  all = false,
): MadeReferences {
  const files: FileReference[] = [];
  let long = 0;
  for (const file of found) {
    if (!all && !isCode(file)) continue;
    const globs = globsOf(file.path);
    if (globs.length === 0) long++;
    const digest = `sha256:${Buffer.from(file.sha256).toString('hex')}`;
    files.push(...globs.map((path) => ({ digest, path })));
    if (files.length > MAX_FILES) throw tooManyFiles(about.source);
  }
  const notes =
    long > 0 ? [`${about.source}: ${long} files left out: their path is too long to be a pattern`] : [];
  if (files.length === 0) notes.push(`${about.source}: no ${all ? 'file' : 'program or library'} found`);
  return { set: referenceSet(about, { files: sortedFiles(files) }), notes };
}

function globsOf(path: Uint8Array): string[] {
  const glob = literalGlob(pathText(path));
  if (glob === undefined) return [];
  return merged.test(glob) ? [glob, `/usr${glob}`] : [glob];
}
