import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { messageOf, TouchmarkError } from '../../errors.js';
import {
  type FoundFile,
  fileReferences,
  isCode,
} from '../../measure/policy/reference-sources/file-source.js';
import {
  labelText,
  MAX_FILES,
  type MadeReferences,
  type ReferenceAbout,
  tooManyFiles,
} from '../../measure/policy/reference-sources/reference-set.js';
import { TarReader } from '../../measure/policy/reference-sources/tar-reader.js';

/** What a package may unpack to. The largest of Debian have 4 GiB. */
const MAX_UNPACKED = 16 * 1024 ** 3;
const MAX_COMPLAINT = 2000;

/**
 * The files of a Debian package, by the paths to which it installs them. `dpkg-deb` opens the archive and its compression, and
 * nothing is written to disk; diversions and what maintainer scripts make are not known here. Whether the package is the
 * distribution's own is for its signature to say, which apt checks and a lone file does not have.
 * @throws TouchmarkError `reference_source_invalid`, `reference_source_too_large`
 */
export async function packageReferences(
  about: ReferenceAbout,
  path: string,
  all: boolean,
  signal: AbortSignal,
): Promise<MadeReferences> {
  const file = resolve(path);
  const description = await descriptionOf(file);
  const found = await filesOf(about.source, file, all ? () => true : isCode, signal);
  const { set, notes } = fileReferences(about, found, all);
  return { set: { ...set, description }, notes };
}

async function descriptionOf(file: string): Promise<string> {
  const fields = ['Package', 'Version', 'Architecture'];
  try {
    const { stdout } = await promisify(execFile)('dpkg-deb', ['-f', file, ...fields], {
      maxBuffer: 64 * 1024,
    });
    return labelText(stdout.replace(/^[A-Za-z]+: /gm, ''));
  } catch (cause) {
    throw failed(file, messageOf(cause), cause);
  }
}

async function filesOf(
  source: string,
  file: string,
  wanted: (file: FoundFile) => boolean,
  signal: AbortSignal,
): Promise<FoundFile[]> {
  const child = spawn('dpkg-deb', ['--fsys-tarfile', file], { stdio: ['ignore', 'pipe', 'pipe'], signal });
  const ended = once(child, 'close');
  // Awaited below; a failure to start must not end the process before.
  ended.catch(() => {});
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(0, MAX_COMPLAINT);
  });
  const files: FoundFile[] = [];
  const reader = new TarReader();
  let size = 0;
  try {
    for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > MAX_UNPACKED)
        throw new TouchmarkError(
          'reference_source_too_large',
          `${source} unpacks to more than ${MAX_UNPACKED} bytes`,
        );
      for (const found of reader.push(chunk)) if (wanted(found)) files.push(found);
      if (files.length > MAX_FILES) throw tooManyFiles(source);
    }
    const [code] = (await ended) as [number | null];
    if (code !== 0) throw failed(file, complaint.trim() || `dpkg-deb ended with ${code}`);
    reader.end();
    return files;
  } finally {
    child.kill();
  }
}

function failed(file: string, why: string, cause?: unknown): TouchmarkError {
  const text = `cannot read ${file} with dpkg-deb: ${labelText(why)}`;
  return new TouchmarkError('reference_source_invalid', text, { cause });
}
