import { execFileSync } from 'node:child_process';
import type { TestContext } from 'node:test';

/** Runs a program of tpm2-tools against a chip: a second opinion, and the things that an agent must never do itself. */
export function tpm2(tcti: string, program: string, ...args: string[]): string {
  return execFileSync(`tpm2_${program}`, ['-T', tcti, ...args], { encoding: 'utf8', stdio: 'pipe' });
}

/** Skips visibly where tpm2-tools is not installed; in CI a skip is a failure. */
export function haveTpm2Tools(t: TestContext): boolean {
  try {
    execFileSync('tpm2_getcap', ['--version'], { stdio: 'pipe' });
    return true;
  } catch {
    const reason = 'tpm2-tools is not installed';
    if (process.env['CI'] === 'true') throw new Error(reason);
    t.skip(reason);
    return false;
  }
}
