import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { TouchmarkError } from '../errors.js';
import { runProgram, startFailure } from './swtpm-program.js';

/** A running software TPM with an endorsement certificate. For tests and `touchmark dev`: never for production. */
export interface Swtpm extends AsyncDisposable {
  /** What openTpm() takes. */
  readonly tcti: string;
  readonly pid: number;
  /** Stops the process; files stay. */
  dispose(): Promise<void>;
}

/** State of a chip that was manufactured: copy the directory and there are two chips with the same keys. */
export interface SwtpmChip {
  readonly stateDirectory: string;
  /** The EK authority's self-signed root and the issuer of the EK certificates, PEM. */
  readonly rootPem: string;
  readonly issuerPem: string;
}

export interface ManufactureOptions {
  /** Existing directory; everything is written below it and nothing outside. */
  directory: string;
  /** Directory of the EK authority, made when it is empty; several chips may share one. Default: `authority` below `directory`. */
  authority?: string;
  /** Default `['sha256']`. */
  banks?: readonly string[];
  /** Default true. Without certificates it is a chip of which nobody knows the maker. */
  certificates?: boolean;
}

/**
 * Makes a chip with RSA-2048 (L-1) and P-384 (H-3) endorsement keys and their certificates. Takes about a second.
 * @throws TouchmarkError `swtpm_missing`, `swtpm_failed`
 */
export async function manufactureSwtpm(options: ManufactureOptions): Promise<SwtpmChip> {
  const { directory, banks = ['sha256'], certificates = true } = options;
  const authority = options.authority ?? join(directory, 'authority');
  const stateDirectory = join(directory, 'state');
  for (const path of [authority, stateDirectory]) await mkdir(path, { recursive: true, mode: 0o700 });
  const config = await writeConfiguration(directory, authority);
  const certificateFlags = ['--create-ek-cert', '--create-platform-cert', '--lock-nvram'];
  await runProgram(
    'swtpm_setup',
    [
      ...['--tpm2', '--tpmstate', stateDirectory, '--config', config, '--pcr-banks', banks.join(',')],
      ...(certificates ? certificateFlags : []),
    ],
    { TMPDIR: directory },
  );
  const pem = (name: string) => (certificates ? readFile(join(authority, name), 'utf8') : '');
  return {
    stateDirectory,
    rootPem: await pem('swtpm-localca-rootca-cert.pem'),
    issuerPem: await pem('issuercert.pem'),
  };
}

/** A second chip with the same seeds, keys and counters: what a cloned virtual machine has. The first must not be running. */
export async function cloneSwtpm(chip: SwtpmChip, directory: string): Promise<SwtpmChip> {
  const stateDirectory = join(directory, 'state');
  await cp(chip.stateDirectory, stateDirectory, { recursive: true });
  return { ...chip, stateDirectory };
}

/**
 * Powers a chip up on a Unix socket in a directory of its own.
 * @param directory short, since a socket's path has at most 107 bytes
 */
export async function startSwtpm(chip: SwtpmChip, directory: string): Promise<Swtpm> {
  const socket = join(directory, 'tpm.sock');
  const child = spawn(
    'swtpm',
    [
      ...['socket', '--tpm2', '--tpmstate', `dir=${chip.stateDirectory}`],
      ...['--server', `type=unixio,path=${socket},mode=0600`],
      ...['--ctrl', `type=unixio,path=${socket}.ctrl,mode=0600`],
      ...['--flags', 'not-need-init,startup-clear'],
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  await untilListening(child, `${socket}.ctrl`);
  const dispose = () => stop(child);
  return { tcti: `swtpm:path=${socket}`, pid: child.pid ?? 0, dispose, [Symbol.asyncDispose]: dispose };
}

const START_MS = 10_000;

/** swtpm says nothing when it is ready, so its control socket is tried until it answers. */
async function untilListening(child: ChildProcess, path: string): Promise<void> {
  let complaint = '';
  let ended: unknown;
  child.stderr?.on('data', (chunk) => {
    complaint = (complaint + chunk).slice(-500);
  });
  child.once('error', (error) => {
    ended = error;
  });
  child.once('exit', (code) => {
    ended ??= new Error(`exit code ${code}`);
  });
  const deadline = Date.now() + START_MS;
  while (!(await connects(path))) {
    if (ended !== undefined) throw startFailure('swtpm', ended, complaint);
    if (Date.now() > deadline) {
      await stop(child);
      throw new TouchmarkError('swtpm_failed', `swtpm did not listen on ${path} within ${START_MS} ms`);
    }
    await sleep(10);
  }
  // What it says later is nobody's business, but a full pipe would stop it.
  child.stderr?.resume();
}

async function connects(path: string): Promise<boolean> {
  const socket = createConnection(path);
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  // One that was stopped (SIGSTOP) gets the signal only when it goes on.
  child.kill('SIGCONT');
  const killer = setTimeout(() => child.kill('SIGKILL'), 2000);
  await exited;
  clearTimeout(killer);
}

/** swtpm_setup's and swtpm-localca's own configuration, so that neither /etc nor the home directory is read or written. */
async function writeConfiguration(directory: string, authority: string): Promise<string> {
  const file = (name: string) => join(directory, name);
  await writeFile(
    file('localca.conf'),
    [
      `statedir = ${authority}`,
      `signingkey = ${join(authority, 'signkey.pem')}`,
      `issuercert = ${join(authority, 'issuercert.pem')}`,
      `certserial = ${join(authority, 'certserial')}`,
      '',
    ].join('\n'),
  );
  const options = '--platform-manufacturer Touchmark --platform-version 1.0 --platform-model swtpm\n';
  await writeFile(file('localca.options'), options);
  await writeFile(
    file('setup.conf'),
    [
      'create_certs_tool = /usr/bin/swtpm_localca',
      `create_certs_tool_config = ${file('localca.conf')}`,
      `create_certs_tool_options = ${file('localca.options')}`,
      '',
    ].join('\n'),
  );
  return file('setup.conf');
}
