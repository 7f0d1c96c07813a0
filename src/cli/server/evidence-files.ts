import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, TouchmarkError } from '../../errors.js';
import { EVIDENCE_FILE, logFiles, POLICY_FILE, README_FILE } from '../../server/api/evidence-files.js';
import type { ServerApi } from './connect.js';

/** Names that are written to disk: whatever the server says, never another one. */
const known: ReadonlySet<string> = new Set([
  EVIDENCE_FILE,
  POLICY_FILE,
  README_FILE,
  ...Object.values(logFiles),
]);
const MAX_BYTES = 512 * 1024 * 1024;

/** All files of an export, in memory. @throws TouchmarkError `evidence_directory_invalid`; RpcError of the call */
export async function fetchEvidence(
  api: ServerApi,
  hostId: string,
  evidenceId: string,
  signal: AbortSignal,
): Promise<Map<string, Buffer>> {
  const pieces = new Map<string, Uint8Array[]>();
  let size = 0;
  for await (const { file, data } of api.evidence.exportEvidence({ hostId, evidenceId }, { signal })) {
    size += data.length;
    if (size > MAX_BYTES) throw refused(`more than ${MAX_BYTES} bytes`);
    if (!known.has(file)) throw refused(`a file ${JSON.stringify(file.slice(0, 64))}`);
    const list = pieces.get(file) ?? [];
    list.push(data);
    pieces.set(file, list);
  }
  return new Map([...pieces].map(([file, list]) => [file, Buffer.concat(list)]));
}

/** Into a new or an empty directory, for its owner only: logs tell what runs on a host. @throws TouchmarkError `file_unreadable` */
export async function writeEvidence(
  directory: string,
  files: ReadonlyMap<string, Uint8Array>,
): Promise<void> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    if ((await readdir(directory)).length > 0) throw new Error('it is not empty');
    for (const [file, bytes] of files) {
      await writeFile(join(directory, file), bytes, { flag: 'wx', mode: 0o600 });
    }
  } catch (cause) {
    throw new TouchmarkError('file_unreadable', `cannot write to ${directory}: ${messageOf(cause)}`, {
      cause,
    });
  }
}

function refused(what: string): TouchmarkError {
  return new TouchmarkError('evidence_directory_invalid', `the server sent ${what}, which no evidence has`);
}
