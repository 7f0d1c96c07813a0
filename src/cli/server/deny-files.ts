/** What a server publishes about withdrawn identities, into a directory that another web server or Envoy reads. */
import { readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, TouchmarkError } from '../../errors.js';
import { writeFileAtomic } from '../../host/atomic-file.js';
import type { GetPublicationResponse } from '../../wire/gen/touchmark/deny/v1/deny_pb.js';

const CRL = /^[0-9a-f]{2,128}\.crl$/;
const OTHERS: ReadonlySet<string> = new Set(['deny-feed.jws', 'all.pem']);
const MAX_BYTES = 64 * 1024 * 1024;

export interface Published {
  readonly sequence: bigint;
  readonly files: ReadonlyMap<string, Uint8Array>;
}

/** @throws TouchmarkError `server_answer_invalid` for names that no publication has, and for more than any holds */
export async function readPublished(answers: AsyncIterable<GetPublicationResponse>): Promise<Published> {
  const pieces = new Map<string, Uint8Array[]>();
  let sequence = 0n;
  let size = 0;
  for await (const answer of answers) {
    const { file, data } = answer;
    sequence = answer.sequence;
    size += data.length;
    if (size > MAX_BYTES) throw refused(`more than ${MAX_BYTES} bytes`);
    if (!OTHERS.has(file) && !CRL.test(file)) throw refused(`a file ${JSON.stringify(file.slice(0, 64))}`);
    pieces.set(file, [...(pieces.get(file) ?? []), data]);
  }
  return { sequence, files: new Map([...pieces].map(([file, list]) => [file, Buffer.concat(list)])) };
}

/**
 * Whoever reads meanwhile finds the old file or the new one, whole. Lists of authorities that have ended go.
 * @throws TouchmarkError `file_unreadable`
 */
export async function writePublished(directory: string, { files }: Published): Promise<void> {
  try {
    for (const [file, bytes] of files) await writeFileAtomic(join(directory, file), bytes, { mode: 0o644 });
    const ended = (await readdir(directory)).filter((name) => CRL.test(name) && !files.has(name));
    for (const name of ended) await unlink(join(directory, name));
  } catch (cause) {
    throw new TouchmarkError('file_unreadable', `cannot write ${directory}: ${messageOf(cause)}`, { cause });
  }
}

function refused(what: string): TouchmarkError {
  return new TouchmarkError('server_answer_invalid', `the server sent ${what}`);
}
