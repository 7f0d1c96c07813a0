import { chmod, mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { DoctorFinding, FindingCode } from '../../../src/host/doctor/findings.js';
import type { Machine, Subject } from '../../../src/host/doctor/subject.js';

export const now = Date.UTC(2026, 6, 1);
export const global = '8be4df61-93ca-11d2-aa0d-00e098032b8c';

/** A host in a directory: everything there and in order, for a test to spoil. */
export async function lay(t: TestContext, machine: Partial<Machine> = {}, change: Partial<Subject> = {}) {
  const root = await mkdtemp(join(tmpdir(), 'tm-doctor-'));
  t.after(() => rm(root, { recursive: true, force: true }));
  const at = (...parts: string[]) => join(root, ...parts);
  for (const path of ['proc', 'sys/firmware/efi/efivars', 'sys/class/tpm/tpm0', 'sec/tpm0', 'sec/ima', 'run'])
    await mkdir(at(path), { recursive: true });
  await mkdir(at('data'), { mode: 0o700 });
  await chmod(root, 0o755);
  await writeFile(at('proc', 'cmdline'), 'root=/dev/sda ima_policy=tcb quiet\n');
  await writeFile(at('proc', 'uptime'), '7200.00 1.00\n');
  await writeFile(at('group'), 'root:x:0:\ntss:x:59:alice,touchmark-agent\n');
  await writeFile(at('passwd'), 'root:x:0:0::/root:/bin/sh\nmallory:x:1000:59::/:/bin/sh\n');
  await writeFile(at('synchronized'), '');
  const secureBoot = (name: string, value: number) =>
    writeFile(at('sys', 'firmware', 'efi', 'efivars', `${name}-${global}`), Buffer.from([6, 0, 0, 0, value]));
  await secureBoot('SecureBoot', 1);
  await secureBoot('SetupMode', 0);
  await utimes(at('data'), new Date(now - 1000), new Date(now - 1000));
  const subject: Subject = {
    tcti: `device:${at('tpmrm0')}`,
    securityfs: at('sec'),
    userspaceLog: at('run', 'tpm2-measure.log'),
    dataDir: at('data'),
    socketPath: at('run', 'api.sock'),
    machine: {
      ...{
        proc: at('proc'),
        sys: at('sys'),
        groupFile: at('group'),
        passwdFile: at('passwd'),
        timesyncMark: at('synchronized'),
      },
      ...{ clockSynchronised: false, kernelRelease: '6.1.0-28-amd64', root: true, now, ...machine },
    },
    ...change,
  };
  return { at, subject, secureBoot };
}

export function codes(findings: readonly DoctorFinding[]): FindingCode[] {
  return findings.map(({ code }) => code);
}

export function messageOf(findings: readonly DoctorFinding[], code: FindingCode): string {
  return (
    findings.find((one) => one.code === code)?.message ?? `no ${code} among ${codes(findings).join(' ')}`
  );
}
