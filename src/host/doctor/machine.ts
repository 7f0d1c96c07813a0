import { stat } from 'node:fs/promises';
import { type DoctorFinding, found } from './findings.js';
import type { Subject } from './subject.js';

/** No build of this program is older. */
const FIRST_DAY = Date.UTC(2026, 0, 1);
const LAST_DAY = Date.UTC(2100, 0, 1);
/** Clocks are stepped by time services; a file from more than this ahead was written by another clock. */
const AHEAD_MS = 5 * 60_000;

/** Kernel, clock, and whether everything can be seen. */
export async function examineMachine({ machine, dataDir }: Subject): Promise<DoctorFinding[]> {
  const { kernelRelease, root, now } = machine;
  const findings: DoctorFinding[] = [];
  const [major = 0, minor = 0] = kernelRelease.split('.').map((part) => Number.parseInt(part, 10));
  const old = major < 5 || (major === 5 && minor < 8);
  findings.push(found(old ? 'kernel_old' : 'kernel', `the kernel is ${kernelRelease}`));
  if (!root) findings.push(found('not_root', 'not run by root, so not everything can be seen'));
  findings.push(...(await examineClock(now, dataDir)));
  // The kernel knows of every time service; some keep its mark only where they also set the hardware's clock.
  if (machine.clockSynchronised !== true && !(await exists(machine.timesyncMark))) {
    const message = 'no time service is known to have set the clock since boot';
    findings.push(found('clock_not_synchronised', message));
  }
  return findings;
}

async function examineClock(now: number, dataDir: string): Promise<DoctorFinding[]> {
  const shown = Number.isFinite(now) ? new Date(now).toISOString() : String(now);
  if (now < FIRST_DAY || now > LAST_DAY) return [found('clock_wrong', `the clock shows ${shown}`)];
  const written = await stat(dataDir).catch(() => undefined);
  if (written !== undefined && written.mtimeMs > now + AHEAD_MS) {
    const then = written.mtime.toISOString();
    return [found('clock_behind', `the clock shows ${shown}, but ${dataDir} was written at ${then}`)];
  }
  return [found('clock_good', `the clock shows ${shown}`)];
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
