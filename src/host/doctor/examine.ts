import { release } from 'node:os';
import { isClockSynchronised } from '../../../native/libc.js';
import { messageOf } from '../../errors.js';
import { createLogger, type Logger } from '../../log.js';
import { openTpm } from '../open-tpm.js';
import type { TpmDevice } from '../tpm.js';
import { examineAgentFiles } from './agent-files.js';
import { examineBoot } from './boot.js';
import { type DoctorFinding, found } from './findings.js';
import { examineIma } from './ima.js';
import { examineMachine } from './machine.js';
import { examineSecureBoot } from './secure-boot.js';
import { examineServer } from './server-reach.js';
import type { Examination, Machine, Subject } from './subject.js';
import { examineTpmAccess } from './tpm-access.js';
import { examineChip, remedyOf } from './tpm-chip.js';

/** In the order in which they are shown, after the access to the chip. */
const examinations: readonly Examination[] = [
  examineChip,
  examineBoot,
  examineIma,
  examineSecureBoot,
  examineMachine,
  examineAgentFiles,
  examineServer,
];

/** This very host. */
export function thisMachine(now: number): Machine {
  return {
    proc: '/proc',
    sys: '/sys',
    passwdFile: '/etc/passwd',
    groupFile: '/etc/group',
    timesyncMark: '/run/systemd/timesync/synchronized',
    clockSynchronised: isClockSynchronised(),
    kernelRelease: release(),
    root: process.geteuid?.() === 0,
    now,
  };
}

/**
 * Looks at everything that a host needs to attest and to be measured. Changes nothing. What cannot be seen is a finding
 * too, so that the rest is seen all the same; never rejects.
 */
export async function examineHost(subject: Subject): Promise<DoctorFinding[]> {
  const remarks: DoctorFinding[] = [];
  const access = await isolated(() => examineTpmAccess(subject));
  const opened = await openChip(subject, remarks);
  // That there is none was said in better words.
  const known = access.some(({ code }) => code === 'tpm_missing' || code === 'tpm_version_1');
  const findings = [...access, ...(known ? [] : opened.findings)];
  for (const examination of examinations)
    findings.push(...(await isolated(() => examination(subject, opened.tpm))));
  await isolated(async () => {
    await opened.tpm?.[Symbol.asyncDispose]();
    return [];
  });
  return [...findings, ...remarks];
}

async function isolated(work: () => Promise<DoctorFinding[]>): Promise<DoctorFinding[]> {
  try {
    return await work();
  } catch (error) {
    return [found('examination_failed', `a part of the examination failed: ${messageOf(error)}`)];
  }
}

async function openChip(
  { tcti, endorsementAuth }: Subject,
  remarks: DoctorFinding[],
): Promise<{ tpm?: TpmDevice; findings: DoctorFinding[] }> {
  const log = collecting(remarks);
  try {
    const auth = endorsementAuth === undefined ? {} : { endorsementAuth };
    return { tpm: await openTpm({ tcti, log, ...auth }), findings: [] };
  } catch (error) {
    return { findings: [found('tpm_unreachable', messageOf(error), remedyOf(error))] };
  }
}

/** What the TPM's room would warn of in the agent's log. */
function collecting(remarks: DoctorFinding[]): Logger {
  const write = (line: string) => {
    const { message, error } = JSON.parse(line) as { message: string; error?: string };
    remarks.push(found('tpm_remark', error === undefined ? message : `${message}: ${error}`));
  };
  const clock = { now: () => 0, monotonic: () => 0, after: () => () => {} };
  return createLogger({ format: 'json', write, clock, journal: false }, 'warn');
}
