import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  linkSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import type { Workload, WorkloadAttestor } from '../../../src/agent/workload-attestors/contract.js';
import { digestAttestor, pathAttestor } from '../../../src/agent/workload-attestors/executable.js';
import { unixAttestor } from '../../../src/agent/workload-attestors/unix.js';
import { createFileHasher } from '../../../src/host/hash-file.js';
import type { NameService } from '../../../src/host/names.js';
import { openProcess } from '../../../src/host/process-handle.js';
import { formatSelector } from '../../../src/spiffe/selector.js';
import { rejectsCode } from '../../support/rejects-async.js';

const never = new AbortController().signal;
const sleeper = '/bin/sleep';

async function ask(attestor: WorkloadAttestor, workload: Workload): Promise<string[]> {
  return (await attestor.attest(workload, never)).map(formatSelector);
}

function workloadOf(t: TestContext, pid: number): Workload {
  const process = openProcess(pid);
  t.after(() => process.close());
  return { pid, uid: 0, gid: 0, groups: [], process };
}

async function started(t: TestContext, program: string): Promise<ChildProcess> {
  const child = spawn(program, ['60'], { stdio: 'ignore' });
  t.after(() => child.kill('SIGKILL'));
  await once(child, 'spawn');
  return child;
}

async function running(t: TestContext, program: string): Promise<Workload> {
  return workloadOf(t, (await started(t, program)).pid ?? 0);
}

function folder(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'tm-unix-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

const sha256 = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');

describe('ids', () => {
  const names: NameService = {
    user: async (uid) => ({ 0: 'root', 7: 'seven' })[uid],
    group: async (gid) => ({ 0: 'wheel', 5: 'tty' })[gid],
  };

  test('the socket’s user and groups, with the names that they have', async (t) => {
    const workload = { ...workloadOf(t, process.pid), uid: 7, gid: 0, groups: [0, 5, 99] };
    assert.deepEqual(await ask(unixAttestor(names), workload), [
      'unix:uid:7',
      'unix:gid:0',
      'unix:user:seven',
      'unix:group:wheel',
      'unix:supplementary_gid:5',
      'unix:supplementary_gid:99',
      'unix:supplementary_group:tty',
    ]);
  });

  test('an id without a name is no failure', async (t) => {
    const workload = { ...workloadOf(t, process.pid), uid: 4711, gid: 4712 };
    assert.deepEqual(await ask(unixAttestor(names), workload), ['unix:uid:4711', 'unix:gid:4712']);
  });
});

describe('the path', () => {
  test('is the file that runs', async (t) => {
    const copy = join(folder(t), 'a program');
    copyFileSync(sleeper, copy);
    assert.deepEqual(await ask(pathAttestor(), await running(t, copy)), [`unix:path:${copy}`]);
  });

  test('is that of the file, not of the link by which it was started', async (t) => {
    const directory = folder(t);
    copyFileSync(sleeper, join(directory, 'real'));
    symlinkSync(join(directory, 'real'), join(directory, 'link'));
    const selectors = await ask(pathAttestor(), await running(t, join(directory, 'link')));
    assert.deepEqual(selectors, [`unix:path:${join(directory, 'real')}`]);
  });

  test('is not told once another file stands there, or none', async (t) => {
    const copy = join(folder(t), 'program');
    copyFileSync(sleeper, copy);
    const workload = await running(t, copy);
    unlinkSync(copy);
    await rejectsCode(
      'executable_path_untrusted',
      /does not run the file .*program \(deleted\)/,
      ask(pathAttestor(), workload),
    );
    copyFileSync(sleeper, copy);
    await rejectsCode('executable_path_untrusted', /does not run the file/, ask(pathAttestor(), workload));
    // What a deleted program's link says can be made into a name, too.
    copyFileSync(sleeper, `${copy} (deleted)`);
    await rejectsCode('executable_path_untrusted', /does not run the file/, ask(pathAttestor(), workload));
  });

  test('one of several names of a file counts', async (t) => {
    const directory = folder(t);
    copyFileSync(sleeper, join(directory, 'one'));
    linkSync(join(directory, 'one'), join(directory, 'two'));
    assert.deepEqual(await ask(pathAttestor(), await running(t, join(directory, 'two'))), [
      `unix:path:${join(directory, 'two')}`,
    ]);
  });

  test('a process that has ended is gone', async (t) => {
    const child = await started(t, sleeper);
    const workload = workloadOf(t, child.pid ?? 0);
    child.kill('SIGKILL');
    await once(child, 'exit');
    await rejectsCode('peer_gone', /ended/, ask(pathAttestor(), workload));
  });
});

describe('the digest', () => {
  test('is the running file’s, also when its name is gone or another’s', async (t) => {
    await using hasher = createFileHasher();
    const copy = join(folder(t), 'program');
    copyFileSync(sleeper, copy);
    const expected = [`unix:sha256:${sha256(copy)}`];
    const workload = await running(t, copy);
    assert.deepEqual(await ask(digestAttestor(hasher), workload), expected);
    unlinkSync(copy);
    copyFileSync('/bin/true', copy);
    assert.deepEqual(await ask(digestAttestor(hasher), workload), expected);
  });

  test('is computed once for a file that does not change', async (t) => {
    await using hasher = createFileHasher();
    const workload = await running(t, sleeper);
    const before = await ask(digestAttestor(hasher), workload);
    assert.equal(hasher.cached, 1);
    assert.deepEqual(await ask(digestAttestor(hasher), await running(t, sleeper)), before);
    assert.equal(hasher.cached, 1);
  });

  test('of a file that is too large is not told', async (t) => {
    await using hasher = createFileHasher({ maxBytes: 100 });
    await rejectsCode(
      'hash_refused',
      /larger than 100 bytes/,
      ask(digestAttestor(hasher), await running(t, sleeper)),
    );
  });

  test('of a kernel thread cannot be had', async (t) => {
    await using hasher = createFileHasher();
    const kernelThread = 2;
    if (readFileSync(`/proc/${kernelThread}/cmdline`).length > 0) {
      t.skip('process 2 is no kernel thread here');
      return;
    }
    await rejectsCode('peer_gone', /ended/, ask(digestAttestor(hasher), workloadOf(t, kernelThread)));
  });

  test('a program that only its owner may read is hashed by an agent that may', async (t) => {
    if (process.getuid?.() !== 0) {
      if (process.env['CI'] === 'true') assert.fail('CI runs as root');
      t.skip('needs root');
      return;
    }
    await using hasher = createFileHasher();
    const copy = join(folder(t), 'program');
    copyFileSync(sleeper, copy);
    chmodSync(copy, 0o711);
    assert.deepEqual(await ask(digestAttestor(hasher), await running(t, copy)), [
      `unix:sha256:${sha256(copy)}`,
    ]);
  });
});
