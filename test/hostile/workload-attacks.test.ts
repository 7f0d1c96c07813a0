import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { serveForTest } from '../agent/workloads/support.js';
import { until } from '../fakes/manual-clock.js';
import { entryOf } from '../support/entries.js';

import {
  agent,
  asAttacker,
  attacker,
  exeOf,
  files,
  folder,
  needsRoot,
  selectorsOf,
  sha256,
  splitCaller,
  started,
} from './workload-support.js';

describe('whoever connected', () => {
  test('and speaks over its own descriptor is served: the attacks below fail for the right reason', async (t) => {
    if (!needsRoot(t)) return;
    const { store, socketPath } = await agent(t);
    store.put(entryOf('a', [`unix:uid:${attacker}`]));
    const { ready, speak } = splitCaller(t, socketPath, 'os.wait()');
    await ready();
    assert.ok(Number((await speak())['bytes']) > 500);
  });

  test('and executes a setuid program gets nothing for whoever kept the descriptor', async (t) => {
    if (!needsRoot(t)) return;
    const { store, socketPath } = await agent(t);
    store.put(entryOf('a', ['unix:uid:0']), entryOf('b', [`unix:uid:${attacker}`]));
    const setuid = join(folder(t), 'setuid-sleep');
    copyFileSync('/bin/sleep', setuid);
    chmodSync(setuid, 0o4755);
    const { child, ready, speak } = splitCaller(
      t,
      socketPath,
      `os.execv(${JSON.stringify(setuid)},['sleep','60'])`,
    );
    await ready();
    await until('it runs the setuid program', () => exeOf(child.pid) === setuid);
    const { status, message } = await speak();
    assert.equal(status, 7);
    assert.match(String(message), /no longer runs as the user/);
  });

  test('and ends gives nothing to a process that has its number now', async (t) => {
    if (!needsRoot(t)) return;
    const { store, socketPath } = await agent(t);
    store.put(entryOf('a', [`unix:uid:${attacker}`]), entryOf('b', ['unix:uid:0']));
    const { child, ready, speak } = splitCaller(t, socketPath, 'os._exit(0)');
    await ready();
    await until('it has ended', () => child.exitCode !== null);
    const reused = reuse(t, child.pid ?? 0);
    if (!reused)
      t.diagnostic('the kernel did not give the number again; the connection is spoken to all the same');
    const answer = await speak();
    assert.ok(answer['closed'] !== undefined || Number(answer['status']) > 0, JSON.stringify(answer));
    assert.equal(answer['bytes'], undefined);
  });
});

describe('what a process shows of itself', () => {
  test('a path in a mount namespace of its own is not believed; the digest is the running file’s', async (t) => {
    if (!needsRoot(t)) return;
    const { admin } = await agent(t);
    const directory = folder(t);
    const [trusted, evil] = [join(directory, 'trusted'), join(directory, 'evil')];
    copyFileSync('/bin/sleep', trusted);
    copyFileSync('/bin/sleep', evil);
    appendFileSync(evil, 'evil');
    const script = `mount --bind ${evil} ${trusted} && exec ${asAttacker.join(' ')} ${trusted} 60`;
    const child = started(t, 'unshare', ['--mount', '--propagation', 'private', 'sh', '-c', script]);
    await until('it runs', () => exeOf(child.pid) === trusted);
    const selectors = await selectorsOf(admin, child.pid);
    assert.ok(selectors.includes(`unix:uid:${attacker}`));
    assert.deepEqual(
      selectors.filter((one) => one.startsWith('unix:path:')),
      [],
    );
    assert.ok(selectors.includes(`unix:sha256:${sha256(evil)}`));
    assert.ok(!selectors.includes(`unix:sha256:${sha256(trusted)}`));
  });

  test('a program in memory has no path and is known by its content', async (t) => {
    if (!needsRoot(t)) return;
    const { admin } = await agent(t);
    const script = `import os
fd=os.memfd_create('/usr/sbin/nginx',0); os.write(fd,open('/bin/sleep','rb').read()+b'x')
os.execve(fd,['nginx','60'],{})`;
    const child = started(t, 'python3', ['-c', script]);
    await until('it runs', () => exeOf(child.pid).startsWith('/memfd:'));
    const selectors = await selectorsOf(admin, child.pid);
    assert.deepEqual(
      selectors.filter((one) => one.startsWith('unix:path:')),
      [],
    );
    const content = Buffer.concat([readFileSync('/bin/sleep'), Buffer.from('x')]);
    assert.ok(selectors.includes(`unix:sha256:${createHash('sha256').update(content).digest('hex')}`));
  });

  test('a file that was changed without a trace after it was hashed is hashed again', async (t) => {
    if (!needsRoot(t)) return;
    if (!existsSync('/dev/shm')) return t.skip('no tmpfs at /dev/shm');
    const { admin } = await agent(t);
    const program = join(folder(t, '/dev/shm'), 'program');
    copyFileSync('/bin/sleep', program);
    appendFileSync(program, Buffer.alloc(8192));
    chmodSync(program, 0o755);
    chownSync(program, attacker, attacker);
    const run = async () => {
      const child = started(t, program, ['60']);
      await until('it runs', () => exeOf(child.pid) === program);
      const found = (await selectorsOf(admin, child.pid)).find((one) => one.startsWith('unix:sha256:'));
      child.kill('SIGKILL');
      await once(child, 'exit');
      return found;
    };
    const before = sha256(program);
    assert.equal(await run(), `unix:sha256:${before}`);
    const change = `import mmap,os,sys
fd=os.open(sys.argv[1],os.O_RDWR); size=os.fstat(fd).st_size; m=mmap.mmap(fd,size); m[size-1]; m[size-1]=66`;
    execFileSync('python3', ['-c', change, program]);
    assert.notEqual(sha256(program), before);
    assert.equal(await run(), `unix:sha256:${sha256(program)}`);
  });

  test('a user’s own unit named like a system unit is that user’s manager; INVOCATION_ID says nothing', async (t) => {
    if (!needsRoot(t)) return;
    const tree = systemdTree();
    const parts = ['user.slice', `user-${attacker}.slice`, `user@${attacker}.service`, 'nginx.service'];
    if (tree === undefined || !makeGroups(t, tree, parts)) {
      t.skip('no control groups can be made here; test/agent/workload-attestors covers the rule');
      return;
    }
    const served = await serveForTest(t, { config: { workloadAttestors: { ...files, systemd: {} } } });
    const forged = 'f'.repeat(32);
    const child = started(t, 'env', [`INVOCATION_ID=${forged}`, 'sleep', '60']);
    await once(child, 'spawn');
    writeFileSync(join(tree, ...parts, 'cgroup.procs'), String(child.pid));
    t.after(() => writeFileSync(join(tree, 'cgroup.procs'), String(child.pid)));
    const selectors = await selectorsOf(served.admin, child.pid);
    assert.ok(selectors.includes(`systemd:id:user@${attacker}.service`), selectors.join(' '));
    assert.ok(!selectors.some((one) => one.includes('nginx') || one.includes(forged)));
  });
});

/** Starts processes until one has this number. */
function reuse(t: TestContext, pid: number): boolean {
  for (let attempt = 0; attempt < 50; attempt++) {
    writeFileSync('/proc/sys/kernel/ns_last_pid', String(pid - 1));
    const child = spawn('sleep', ['60'], { stdio: 'ignore' });
    if (child.pid === pid) {
      t.after(() => child.kill('SIGKILL'));
      return true;
    }
    child.kill('SIGKILL');
  }
  return false;
}

/** Where processes are put into control groups by name: systemd's own hierarchy, or version 2's. */
function systemdTree(): string | undefined {
  const mounts = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '));
  const named = mounts.find(([, , type, options]) => type === 'cgroup' && options?.includes('name=systemd'));
  return (named ?? mounts.find(([, , type]) => type === 'cgroup2'))?.[1];
}

function makeGroups(t: TestContext, tree: string, parts: readonly string[]): boolean {
  try {
    execFileSync('mkdir', ['-p', join(tree, ...parts)], { stdio: 'ignore' });
  } catch {
    return false;
  }
  t.after(() => {
    for (let depth = parts.length; depth > 0; depth--) {
      try {
        execFileSync('rmdir', [join(tree, ...parts.slice(0, depth))], { stdio: 'ignore' });
      } catch {}
    }
  });
  return true;
}
