import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { repoRoot } from './root.js';

const execute = promisify(execFile);

/** A built guest: Debian 12 with the agent of this checkout. Everything lies below `.cache/vm`, by the hash of what it was made from. */
export interface VmImage {
  /** The root file system, and the directory that it was made from. */
  readonly root: string;
  readonly tree: string;
  /** The firmware's variables with the test's keys, and Secure Boot on or off. */
  readonly varsOn: string;
  readonly varsOff: string;
  /** Certificate and private key that sign what may boot. */
  readonly dbCertificate: string;
  readonly dbKey: string;
  /** Makes a signed unified kernel image and a disk that boots it. */
  uki(commandLine: string, version?: string): Promise<Uki>;
}

export interface Uki {
  /** The image itself. */
  readonly file: string;
  readonly esp: string;
}

export const goodCommandLine =
  'console=ttyS0 quiet panic=10 net.ifnames=0 ima_policy=tcb|critical_data ima_hash=sha256 systemd.show_status=no';

/**
 * Why there can be no guest on this machine, for `skip`; in CI that is a failure of the test that needs one.
 */
export function noGuestsHere(): string | false {
  if (process.env['CI'] === 'true') return false;
  if (process.getuid?.() !== 0) return 'building a guest needs root';
  const folders = ['/usr/sbin', ...(process.env['PATH'] ?? '').split(':')];
  const found = (name: string) => folders.some((folder) => existsSync(join(folder, name)));
  const missing = programs.filter((name) => !found(name));
  const venv = existsSync(join(repoRoot(), '.cache', 'vm', 'venv', 'bin', 'virt-fw-vars'));
  if (missing.length === 0 && venv) return false;
  return `run ./scripts/test vm: ${[...missing, ...(venv ? [] : ['virt-fw-vars'])].join(', ')} not installed`;
}

const programs = ['qemu-system-x86_64', 'swtpm', 'mmdebstrap', 'sbsign', 'mformat', 'sfdisk', 'cpio', 'zstd'];

/** About 30 s the first time, 4 s after a change of the agent, nothing otherwise. Needs root, and the packages of scripts/lib.sh. */
export async function buildImage(): Promise<VmImage> {
  const scripts = join(repoRoot(), 'vm-images');
  const cache = join(repoRoot(), '.cache', 'vm');
  await mkdir(cache, { recursive: true });
  const script = (name: string, ...args: string[]) => runScript(join(scripts, name), args);
  const base = join(cache, `base-${hashOf([join(scripts, 'base.sh')])}.tar`);
  if (!existsSync(base)) await script('base.sh', base);
  const keys = join(cache, `keys-${hashOf([join(scripts, 'keys.sh')])}`);
  await made(keys, (path) => script('keys.sh', join(cache, 'venv', 'bin', 'virt-fw-vars'), path));
  const treeKey = hashOf([
    ...['base.sh', 'tree.sh', 'initrd.sh', 'guest'].map((name) => join(scripts, name)),
    join(repoRoot(), 'systemd'),
    join(keys, 'db.crt'),
  ]);
  const tree = join(cache, `tree-${treeKey}`);
  await made(tree, (path) => script('tree.sh', base, keys, path));
  const agent = ['dist/src', 'dist/native', 'bin', 'package-lock.json', 'vm-images/image.sh'];
  const imageKey = hashOf(
    agent.map((path) => join(repoRoot(), path)),
    [treeKey, process.version],
  );
  const root = join(cache, `root-${imageKey}.img`);
  if (!existsSync(root)) {
    await removeOld(cache, 'root-');
    await script('image.sh', tree, process.execPath, root);
  }
  return {
    root,
    tree,
    varsOn: join(keys, 'vars-on.fd'),
    varsOff: join(keys, 'vars-off.fd'),
    dbCertificate: join(keys, 'db.crt'),
    dbKey: join(keys, 'db.key'),
    async uki(commandLine, version = '1') {
      const key = hashOf(
        [join(scripts, 'uki.sh'), join(scripts, 'esp.sh'), join(keys, 'db.crt')],
        [...[treeKey, commandLine, version]],
      );
      const file = join(cache, `uki-${key}.efi`);
      const esp = join(cache, `uki-${key}.img`);
      if (!existsSync(esp)) {
        await script('uki.sh', tree, keys, file, commandLine, version);
        await script('esp.sh', file, esp);
      }
      return { file, esp };
    },
  };
}

async function runScript(path: string, args: readonly string[]): Promise<void> {
  await execute(path, args, { maxBuffer: 16 * 1024 * 1024 });
}

/** Makes a directory as a whole or not at all. */
async function made(path: string, make: (path: string) => Promise<void>): Promise<void> {
  if (existsSync(path)) return;
  await rm(`${path}.new`, { recursive: true, force: true });
  await make(`${path}.new`);
  await rename(`${path}.new`, path);
}

async function removeOld(directory: string, prefix: string): Promise<void> {
  for (const name of await readdir(directory)) {
    if (name.startsWith(prefix)) await rm(join(directory, name));
  }
}

function hashOf(paths: readonly string[], more: readonly string[] = []): string {
  const hash = createHash('sha256');
  for (const text of more) hash.update(`${text}\n`);
  for (const path of paths) addTo(hash, path);
  return hash.digest('hex').slice(0, 16);
}

function addTo(hash: ReturnType<typeof createHash>, path: string): void {
  if (statSync(path).isDirectory()) {
    for (const name of readdirSync(path).sort()) addTo(hash, join(path, name));
  } else if (!path.endsWith('.map')) {
    hash.update(`${path.slice(repoRoot().length)}\n`).update(readFileSync(path));
  }
}
