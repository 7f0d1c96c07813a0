import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createNameService } from '../names.js';
import { type DoctorFinding, found } from './findings.js';
import { isAbsent, type Subject } from './subject.js';

/** The device of the chip, and who may open it: whoever may can speak for this host. */
export async function examineTpmAccess(subject: Subject): Promise<DoctorFinding[]> {
  const path = deviceOf(subject.tcti);
  if (path === undefined)
    return [found('tpm_not_seen', `who may use the TPM at ${subject.tcti} cannot be seen here`)];
  try {
    const { mode, uid, gid } = await stat(path);
    const names = createNameService();
    const owner = (await names.user(uid)) ?? `uid ${uid}`;
    const group = (await names.group(gid)) ?? `gid ${gid}`;
    const bits = (mode & 0o777).toString(8).padStart(4, '0');
    const findings = [found('tpm_device', `${path} belongs to ${owner} and group ${group}, mode ${bits}`)];
    if ((mode & 0o006) !== 0)
      findings.push(found('tpm_open_to_all', `every user of this host may open ${path}`));
    const members = (mode & 0o060) === 0 ? [] : await membersOf(subject.machine.groupFile, gid);
    const who = [owner, ...(members.length > 0 ? [`${members.join(', ')} (by group ${group})`] : [])];
    findings.push(
      found('tpm_access', `${path} is open to ${who.join(', ')}; access lists are not looked at`),
    );
    return findings;
  } catch (error) {
    if (!isAbsent(error)) throw error;
    return [await missing(subject, path)];
  }
}

/** The device or socket that a TCTI string names. */
export function deviceOf(tcti: string): string | undefined {
  const [kind, rest = ''] = tcti.split(/:(.*)/s);
  if (kind === 'device') return rest === '' ? '/dev/tpmrm0' : rest;
  return kind === 'swtpm' ? /(?:^|,)path=([^,]+)/.exec(rest)?.[1] : undefined;
}

async function missing({ machine }: Subject, path: string): Promise<DoctorFinding> {
  const version = join(machine.sys, 'class', 'tpm', 'tpm0', 'tpm_version_major');
  const major = await readFile(version, 'utf8').catch(() => '');
  if (major.trim() === '1') return found('tpm_version_1', 'the TPM of this host is a TPM 1.2');
  const seen = major === '' ? '' : ', though the kernel knows a TPM';
  return found('tpm_missing', `there is no ${path}${seen}`);
}

/** Of the local file; other sources of names are not asked for lists. */
async function membersOf(groupFile: string, gid: number): Promise<string[]> {
  const text = await readFile(groupFile, 'utf8').catch(() => '');
  const line = text.split('\n').find((one) => one.split(':')[2] === String(gid));
  return (line?.split(':')[3] ?? '').split(',').filter((name) => name !== '');
}
