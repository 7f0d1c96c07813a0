import { hash } from 'node:crypto';
import { type ImaEntry, readImaEntry } from '../ima/ima-entry.js';
import type { ImaRecord } from '../ima/ima-record.js';
import { fieldsOf, type ImaFileDigest } from '../ima/ima-template.js';
import { AGENT_PREFIX } from './agent-files.js';
import type { Compiled } from './compile.js';
import { digestText, latin1 } from './digest-text.js';
import type { EntryVerdict } from './ima-cache.js';
import { isSignedFile } from './ima-signature.js';
import { measuredKey } from './is-measured.js';

/** Where systemd takes IMA rules from: whatever else accepts the file, its content must be named as rules. */
const IMA_POLICY_PATH = '/etc/ima/ima-policy';
const AGGREGATE = 'boot_aggregate';
const KEXEC = 'kexec-cmdline';

type Outcome = Pick<EntryVerdict, 'code'> & Partial<EntryVerdict>;

/** Judges an entry whose data the kernel extended; a violation is none, nothing vouches for its data. */
export function judgeImaEntry(record: ImaRecord, compiled: Compiled | undefined): EntryVerdict {
  const entry = readImaEntry(record);
  const nothing = { excluded: false, path: '', digest: '', text: '', measured: '', rules: false, agent: [] };
  const listDigest = hash('sha1', record.data, 'binary');
  return { ...nothing, kind: 'file', listDigest, ...outcome(record, entry, compiled) };
}

function outcome(record: ImaRecord, entry: ImaEntry, compiled: Compiled | undefined): Outcome {
  const { fileDigest, problem } = entry;
  if (!fieldsOf(record.template)) return { code: 'ima_template_unknown', text: record.template };
  if (problem !== undefined || !fileDigest || !entry.path) {
    return { code: 'ima_entry_malformed', text: problem ?? 'it has no digest or no path' };
  }
  const digest = digestName(fileDigest);
  const path = entry.path.text;
  const named = { path, digest };
  if (path === AGGREGATE) return { code: '', kind: 'aggregate', ...named };
  if (entry.buffer) return { ...named, ...judgeBuffer(entry.buffer, fileDigest, named, compiled) };
  // A name that is no path (`memfd:x`) is of no file that could be found again.
  const measured = path.startsWith('/') ? measuredKey(fileDigest) : '';
  const judged = compiled?.policy.runtime
    ? judgeFile(entry, fileDigest, named, compiled)
    : { code: '' as const };
  const shown = judged.code === '' ? {} : named;
  return { ...judged, ...shown, measured };
}

interface Named {
  readonly path: string;
  readonly digest: string;
}

function judgeFile(
  entry: ImaEntry,
  file: ImaFileDigest,
  { path, digest }: Named,
  compiled: Compiled,
): Outcome {
  const { files, policy, imaPolicies, signers, agent } = compiled;
  const rules = imaPolicies.has(digest);
  const unknown = files.knowsPath(path) ? 'file_modified' : 'file_unknown';
  if (path === IMA_POLICY_PATH && imaPolicies.size > 0 && !rules) return { code: 'ima_policy_unknown' };
  const own = policy.runtime?.agentMeasured === true && path.startsWith(AGENT_PREFIX);
  if (rules || files.accepts(digest, path)) return { code: '', rules, agent: own ? agent.namesOf(path) : [] };
  // Neither a signature nor an exclusion takes the place of the agent's own digests.
  if (own) return { code: unknown };
  if (policy.runtime?.signed && entry.signature && isSignedFile(file, entry.signature, signers))
    return { code: '' };
  return files.excludes(path) ? { code: '', excluded: true } : { code: unknown };
}

/** `ima-buf`: keys that were loaded, command lines given to kexec, critical data. */
function judgeBuffer(
  buffer: Uint8Array,
  file: ImaFileDigest,
  { path, digest }: Named,
  compiled: Compiled | undefined,
): Outcome {
  if (!isHashOf(file, buffer)) return { code: 'ima_entry_forged' };
  if (path === KEXEC) {
    const text = Buffer.from(buffer).toString('utf8').replace(/\0+$/, '');
    return { code: '', kind: 'kexec', text };
  }
  if (!compiled?.policy.runtime) return { code: '' };
  const { files, signers } = compiled;
  if (files.accepts(digest, path) || signers.isSigner(buffer)) return { code: '' };
  if (path.startsWith('.')) return { code: 'ima_key_unknown' };
  return files.excludes(path) ? { code: '', excluded: true } : { code: 'ima_buffer_unknown' };
}

/** Hashes that node does not have are left open: the data itself is what is measured. */
function isHashOf({ algorithm, digest }: ImaFileDigest, bytes: Uint8Array): boolean {
  try {
    return hash(algorithm, bytes, 'binary') === latin1(digest);
  } catch {
    return true;
  }
}

function digestName({ of, algorithm, digest }: ImaFileDigest): string {
  const text = digestText(algorithm, digest);
  return of === 'verity' ? `verity:${text}` : text;
}
