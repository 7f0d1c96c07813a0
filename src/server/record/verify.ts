/** Verifies a log as it lies in a directory: the server's own, or a copy far away from any server. */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { TouchmarkError } from '../../errors.js';
import { readCheckpoint, type SignedCheckpoint } from './checkpoint.js';
import { type ChainHead, GENESIS, type RecordedEvent } from './model.js';
import { readRoot } from './root.js';
import { listSegments } from './segments.js';
import { type Introduced, type Pruned, settleTrust, type Trust } from './trust.js';
import { located, type Place, walkLines } from './walk.js';

export interface VerifyInput {
  readonly directory: string;
  /** JWT authorities of the trust domain's bundle, by key ID: what the whole verdict rests on. */
  readonly keys: ReadonlyMap<string, KeyObject>;
  /** Lines that are known from elsewhere to be in the log: without one, nothing tells that its end was not cut off. */
  readonly expected?: readonly ChainHead[];
  /** The last line to read: the server is writing what follows. */
  readonly until?: number;
}

export interface VerifyReport {
  /** `<trust domain>/<id of the log>`; empty when it was not read so far. */
  readonly server: string;
  readonly segments: number;
  readonly events: number;
  readonly first: number;
  readonly last: ChainHead & { readonly at: number };
  readonly checkpoints: number;
  readonly verified: number;
  /** The newest line that a key of the bundle vouches for, directly or by the keys that it vouches for; 0: none. */
  readonly covered: number;
  /** The first thing that is wrong, by its place; absent: nothing is. */
  readonly problem?: { readonly code: string; readonly message: string };
}

interface Findings {
  server: string;
  events: number;
  first: number;
  last: ChainHead & { at: number };
  readonly checkpoints: { readonly checkpoint: SignedCheckpoint; readonly place: Place }[];
  readonly introduced: Introduced[];
  readonly pruned: Pruned[];
}

/**
 * Establishes that every line is as it was written, up to `covered`, by the server that held the signing keys. Does NOT
 * establish that what the server wrote was true, nor that nothing was cut off after the newest line in `expected`; lines after
 * `covered` could have been rewritten by whoever can write the files.
 * @throws TouchmarkError `record_unreadable`; everything that is wrong with the log itself is in the report
 */
export async function verifyLog(input: VerifyInput): Promise<VerifyReport> {
  const segments = await listSegments(input.directory);
  const found: Findings = {
    ...{ server: '', events: 0, first: 0, last: { ...GENESIS, at: 0 } },
    ...{ checkpoints: [], introduced: [], pruned: [] },
  };
  const report = (trust: Trust | undefined, error?: TouchmarkError): VerifyReport => ({
    ...{ server: found.server, segments: segments.length, events: found.events, first: found.first },
    ...{ last: found.last, checkpoints: found.checkpoints.length },
    ...{ verified: trust?.verified ?? 0, covered: trust?.covered ?? 0 },
    ...(error === undefined ? {} : { problem: { code: error.code, message: error.message } }),
  });
  try {
    const root = await readRoot(input.directory);
    if (root !== undefined) found.server = root.server;
    const visit = (event: RecordedEvent, place: Place) => take(found, event, place, input.expected);
    await walkLines(segments, root ?? GENESIS, visit, input.until);
    checkEnd(found, input.expected ?? []);
    const trust = settleTrust({ ...found, keys: input.keys, ...(root === undefined ? {} : { root }) });
    return report(trust, trust.problem);
  } catch (error) {
    if (error instanceof TouchmarkError && error.code !== 'record_unreadable')
      return report(undefined, error);
    throw error;
  }
}

function take(
  found: Findings,
  event: RecordedEvent,
  place: Place,
  expected: VerifyInput['expected'] = [],
): void {
  found.events += 1;
  found.first ||= event.seq;
  found.last = { seq: event.seq, hash: event.hash, at: event.at };
  const known = expected.find(({ seq }) => seq === event.seq);
  if (known !== undefined && known.hash !== event.hash) {
    throw located(place, () => {
      throw new TouchmarkError('record_chain_broken', 'the line is another one than is known from elsewhere');
    });
  }
  if (event.name === 'record_started') found.server = event.subject;
  if (event.name === 'checkpoint') takeCheckpoint(found, event, place);
  if (event.name === 'authority_added') takeKey(found, event);
  if (event.name === 'record_damaged' && text(event, 'what') === 'altered') throwAltered(place, event);
  if (event.name === 'record_pruned') {
    const removed = { seq: Number(text(event, 'last_removed')), hash: text(event, 'hash') };
    found.pruned.push({ ...removed, line: event.seq });
  }
}

/** The lines before it fit one another, but are not those that the server wrote. */
function throwAltered(place: Place, event: RecordedEvent): never {
  return located(place, () => {
    throw new TouchmarkError('record_chain_broken', `the server found that ${text(event, 'why')}`);
  });
}

/** It must be about the very line before it, whoever signed it. */
function takeCheckpoint(found: Findings, event: RecordedEvent, place: Place): void {
  const checkpoint = located(place, () => readCheckpoint(text(event, 'jws')));
  const fits = checkpoint.seq === event.seq - 1 && checkpoint.hash === event.prev;
  if (!fits || checkpoint.server !== found.server) {
    located(place, () => {
      throw new TouchmarkError('record_checkpoint_invalid', 'the checkpoint is about another line or log');
    });
  }
  found.checkpoints.push({ checkpoint, place });
}

/** A JWT authority is published in the log before it signs: later checkpoints rest on it when older ones vouch for it. */
function takeKey(found: Findings, event: RecordedEvent): void {
  const spki = text(event, 'spki');
  if (spki === '') return;
  try {
    const key = createPublicKey({ key: Buffer.from(spki, 'base64'), format: 'der', type: 'spki' });
    found.introduced.push({ keyId: event.subject, seq: event.seq, key });
  } catch {
    // Not a key: nothing can rest on it.
  }
}

function checkEnd({ last }: Findings, expected: readonly ChainHead[]): void {
  const beyond = expected.find(({ seq }) => seq > last.seq);
  if (beyond === undefined) return;
  throw new TouchmarkError(
    'record_truncated',
    `the record ends at line ${last.seq}, and line ${beyond.seq} is known to have been written`,
  );
}

function text(event: RecordedEvent, field: string): string {
  const value = event.fields[field];
  return typeof value === 'string' ? value : '';
}
