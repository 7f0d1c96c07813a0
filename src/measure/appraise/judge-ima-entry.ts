import { hash } from 'node:crypto';
import type { ImaEntry } from '../ima/ima-entry.js';
import { type ImaFileDigest, isJudgeable } from '../ima/ima-template.js';
import { AGENT_PREFIX } from './agent-files.js';
import type { Compiled } from './compile.js';
import { digestText, latin1, withoutNuls } from './digest-text.js';
import type { ReasonCode } from './reasons.js';

/** What is to be said of one entry, wherever in a list it stands. */
export interface EntryVerdict {
  /** Why it is not accepted; empty: it is. */
  readonly code: ReasonCode | '';
  readonly kind: 'file' | 'aggregate' | 'kexec' | 'buffer' | 'obscured';
  /** Whether a glob of the policy leaves it unjudged. */
  readonly excluded: boolean;
  /** Whether it measured accepted IMA rules where systemd loads them from. */
  readonly rules: boolean;
  /** References to the agent's files that it answers to. */
  readonly agent: readonly string[];
  /** Why it could not be read, or the command line given to kexec. */
  readonly text?: string;
}

/** Where systemd takes IMA rules from: whatever else accepts the file, its content must be named as rules. */
export const IMA_POLICY_PATH = '/etc/ima/ima-policy';
const AGGREGATE = 'boot_aggregate';
const KEXEC = 'kexec-cmdline';

const accepted: EntryVerdict = {
  code: '',
  kind: 'file',
  excluded: false,
  rules: false,
  agent: [],
};
const excluded: EntryVerdict = { ...accepted, excluded: true };
const rulesFile: EntryVerdict = { ...accepted, rules: true };
const aggregate: EntryVerdict = { ...accepted, kind: 'aggregate' };
const acceptedBuffer: EntryVerdict = { ...accepted, kind: 'buffer' };

/** Judges an entry whose data the kernel extended; a violation is none, nothing vouches for its data. */
export function judgeImaEntry(entry: ImaEntry, compiled: Compiled | undefined): EntryVerdict {
  const { template, fileDigest, path, problem, buffer } = entry;
  if (!isJudgeable(template)) return refused('ima_template_unknown', 'obscured', template);
  if (problem !== undefined || !fileDigest || !path?.bytes.length) {
    return refused('ima_entry_malformed', 'obscured', problem ?? 'it has no digest or no path');
  }
  const name = path.text;
  // Under any template: the name is measured, the template is not.
  if (name === AGGREGATE) return aggregate;
  if (name === KEXEC) return judgeKexecLine(buffer, fileDigest);
  if (buffer) return judgeBuffer(buffer, fileDigest, name, compiled);
  return compiled?.policy.runtime ? judgeFile(entry, fileDigest, name, compiled) : accepted;
}

function judgeFile(entry: ImaEntry, file: ImaFileDigest, path: string, compiled: Compiled): EntryVerdict {
  const { files, policy, signers, agent } = compiled;
  if (path === IMA_POLICY_PATH) return judgeRulesFile(file, compiled);
  const own = policy.runtime?.agentMeasured === true && path.startsWith(AGENT_PREFIX);
  if (files.accepts(file, path))
    return own ? { ...accepted, agent: agent.answeredBy(digestName(file), path) } : accepted;
  // Neither a signature nor an exclusion takes the place of the agent's own digests.
  if (!own) {
    if (policy.runtime?.signed && entry.signature && signers.hasSigned(file, entry.signature))
      return accepted;
    if (!isKeyring(path) && files.excludes(path)) return excluded;
  }
  return refused(files.knowsPath(path) ? 'file_modified' : 'file_unknown');
}

/** What is loaded there takes the place of the rules before it, so that neither a signature nor an exclusion accepts it. */
function judgeRulesFile(file: ImaFileDigest, { files, imaPolicies }: Compiled): EntryVerdict {
  if (imaPolicies.has(digestName(file))) return rulesFile;
  const asFile = imaPolicies.size === 0 && files.accepts(file, IMA_POLICY_PATH);
  return asFile ? accepted : refused('ima_policy_unknown');
}

function judgeKexecLine(buffer: Uint8Array | undefined, digest: ImaFileDigest): EntryVerdict {
  const kexec: EntryVerdict = { ...accepted, kind: 'kexec' };
  if (!buffer || !isHashOf(digest, buffer)) return { ...kexec, code: 'ima_entry_forged' };
  return { ...kexec, text: withoutNuls(Buffer.from(buffer).toString('utf8')) };
}

/** `ima-buf`: keys that were loaded, critical data. */
function judgeBuffer(
  buffer: Uint8Array,
  digest: ImaFileDigest,
  name: string,
  compiled: Compiled | undefined,
): EntryVerdict {
  if (!isHashOf(digest, buffer)) return refused('ima_entry_forged', 'buffer');
  if (!compiled?.policy.runtime) return acceptedBuffer;
  const { files, signers } = compiled;
  if (files.accepts(digest, name) || signers.isSigner(buffer)) return acceptedBuffer;
  if (isKeyring(name)) return refused('ima_key_unknown', 'buffer');
  return files.excludes(name) ? { ...excluded, kind: 'buffer' } : refused('ima_buffer_unknown', 'buffer');
}

function isKeyring(name: string): boolean {
  return name.startsWith('.');
}

function refused(code: ReasonCode, kind: EntryVerdict['kind'] = 'file', text?: string): EntryVerdict {
  return { ...accepted, code, kind, ...(text === undefined ? {} : { text }) };
}

/** Hashes that node does not have are left open: the data itself is what is measured. */
function isHashOf({ algorithm, digest }: ImaFileDigest, bytes: Uint8Array): boolean {
  try {
    return hash(algorithm, bytes, 'binary') === latin1(digest);
  } catch {
    return true;
  }
}

/** As policies write it. */
export function digestName({ of, algorithm, digest }: ImaFileDigest): string {
  const text = digestText(algorithm, digest);
  return of === 'verity' ? `verity:${text}` : text;
}
