import { execFile } from 'node:child_process';
import { TouchmarkError } from '../errors.js';

const LIMIT_MS = 60_000;

/** Runs one of swtpm's programs to its end. @throws TouchmarkError `swtpm_missing`, `swtpm_failed` */
export function runProgram(
  program: string,
  args: readonly string[],
  environment: Record<string, string>,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const options = { timeout: LIMIT_MS, env: { ...process.env, ...environment } };
    execFile(program, args, options, (error, stdout, stderr) => {
      if (error === null) resolve();
      else reject(startFailure(program, error, `${stdout}${stderr}`.slice(-500)));
    });
  });
}

export function startFailure(program: string, cause: unknown, output: string): TouchmarkError {
  if ((cause as NodeJS.ErrnoException).code === 'ENOENT') {
    const message = `the program ${program} is not installed: apt install swtpm swtpm-tools`;
    return new TouchmarkError('swtpm_missing', message, { cause });
  }
  const said = output.trim().split('\n').at(-1) ?? '';
  const message = `${program} failed${said === '' ? '' : `: ${said}`}`;
  return new TouchmarkError('swtpm_failed', message, { cause, detail: { output } });
}
