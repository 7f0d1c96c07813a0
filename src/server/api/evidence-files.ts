/** The files of an evidence directory: everything that it takes to come to the same verdict without this server. */
import { type LogKind, logKinds } from '../../measure/appraise/contract.js';
import type { ResolvedPolicy } from '../../measure/policy/model.js';
import type { ArchivedEvidence } from '../measurements/contract.js';
import type { EvidenceRecord, Host } from '../model.js';

export const EVIDENCE_FORMAT = 'touchmark-evidence-1';

/** `evidence.json` */
export interface EvidenceDocument {
  readonly format: typeof EVIDENCE_FORMAT;
  readonly trustDomain: string;
  /** The quote with what it was asked for, and the verdict as it was stored. */
  readonly record: EvidenceRecord;
  /** What the server holds of the chip: nothing here can be verified from the quote. Absent: the host was forgotten. */
  readonly host?: Pick<Host, 'id' | 'name' | 'labels' | 'eks' | 'akName' | 'enrolledBy' | 'enrolledAt'>;
}

/** By the log's kind. A log that the host does not have has no file. */
export const logFiles: Readonly<Record<LogKind, string>> = {
  'boot-log': 'boot.log',
  'userspace-log': 'userspace.log',
  'ima-list': 'ima.list',
};
export const EVIDENCE_FILE = 'evidence.json';
export const POLICY_FILE = 'policy.json';
export const README_FILE = 'README.txt';

export interface ExportInput {
  readonly archived: ArchivedEvidence;
  readonly host: Host | undefined;
  readonly trustDomain: string;
  /** The policy of the record; undefined: none applied, or it is not kept any more. */
  readonly policy: ResolvedPolicy | undefined;
}

export function evidenceFiles(input: ExportInput): { file: string; bytes: Uint8Array }[] {
  const { archived, policy } = input;
  const logs = logKinds.flatMap((kind) => {
    const part = archived.evidence.logs[kind];
    return part.kind === 'bytes' ? [{ file: logFiles[kind], bytes: part.bytes }] : [];
  });
  return [
    { file: EVIDENCE_FILE, bytes: jsonBytes(documentOf(input)) },
    ...logs,
    ...(policy === undefined ? [] : [{ file: POLICY_FILE, bytes: jsonBytes(policy) }]),
    { file: README_FILE, bytes: Buffer.from(readme(archived.record), 'utf8') },
  ];
}

function documentOf({ archived: { record }, host, trustDomain }: ExportInput): EvidenceDocument {
  const base = { format: EVIDENCE_FORMAT, trustDomain, record } as const;
  if (host === undefined) return base;
  const { id, name, labels, eks, akName, enrolledBy, enrolledAt } = host;
  return { ...base, host: { id, name, labels, eks, akName, enrolledBy, enrolledAt } };
}

function jsonBytes(value: unknown): Uint8Array {
  return Buffer.from(`${JSON.stringify(value, undefined, 2)}\n`, 'utf8');
}

function readme({ id, hostId, at, verdict }: EvidenceRecord): string {
  return `Evidence ${id} of host ${hostId}, taken ${new Date(at).toISOString()}; verdict: ${verdict}.

evidence.json   the quote (TPMS_ATTEST, TPMT_SIGNATURE), the attestation key (TPMT_PUBLIC), what extraData was made
                from (label, nonce, SHA-256 of the transcript or of the tick), PCR values, the verdict as stored
boot.log        the event log of the firmware, as in /sys/kernel/security/tpm0/binary_bios_measurements
userspace.log   what systemd measured, as in /run/log/systemd/tpm2-measure.log
ima.list        the kernel's list, as in /sys/kernel/security/ima/binary_runtime_measurements
policy.json     the policy that it was judged by, with all its reference sets
A log or a policy that is not here was not there.

touchmark evidence verify DIR    checks the quote, replays the logs, judges them, and compares with the stored verdict
touchmark evidence explain DIR   says PCR by PCR and component by component what was found

Neither shows that the attestation key lives in a genuine chip: the server established that when the host attested
(activation by the endorsement key), and what it recorded of the chip is under "host" in evidence.json.
`;
}
