import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { kernelNameOf } from '../measurements/measurements.js';
import { createNameService } from '../names.js';
import { type Account, accountsOf, agentAccount } from './accounts.js';
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
    const accounts = (mode & 0o060) === 0 ? [] : await accountsOf(subject.machine);
    const members = accounts.filter(({ gids }) => gids.has(gid)).map(({ name }) => name);
    const who = [owner, ...(members.length > 0 ? [`${members.join(', ')} (by group ${group})`] : [])];
    findings.push(
      found('tpm_access', `${path} is open to ${who.join(', ')}; access lists are not looked at`),
    );
    const agent = await agentAccount(subject.machine);
    if (agent !== undefined && !mayOpen(agent, { mode, uid, gid }))
      findings.push(found('tpm_agent_denied', `the agent's user, ${agent.name}, may not open ${path}`));
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

async function missing({ machine, tcti }: Subject, path: string): Promise<DoctorFinding> {
  const version = join(machine.sys, 'class', 'tpm', kernelNameOf(tcti), 'tpm_version_major');
  const major = await readFile(version, 'utf8').catch(() => '');
  if (major.trim() === '1') return found('tpm_version_1', 'the TPM of this host is a TPM 1.2');
  const seen = major === '' ? '' : ', though the kernel knows a TPM';
  return found('tpm_missing', `there is no ${path}${seen}`);
}

/** Reading and writing, by the first of the three classes that fits, as the kernel does it. */
function mayOpen({ uid, gids }: Account, file: { mode: number; uid: number; gid: number }): boolean {
  const shift = uid === file.uid ? 6 : gids.has(file.gid) ? 3 : 0;
  return uid === 0 || ((file.mode >> shift) & 0o6) === 0o6;
}
