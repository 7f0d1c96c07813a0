import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, unlinkSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { type BinaryAttestorDeps, binaryAttestor } from '../../../src/agent/workload-attestors/binary.js';
import { createFileHasher } from '../../../src/host/hash-file.js';
import { executableLinkNow } from '../../../src/host/proc-now.js';
import { openProcess } from '../../../src/host/process-handle.js';
import { verityDigestOf } from '../../../src/host/verity.js';
import { formatSelector } from '../../../src/spiffe/selector.js';
import { rejectsCode } from '../../support/rejects-async.js';

const never = new AbortController().signal;
const sleeper = '/bin/sleep';

function attestor(t: TestContext, deps: Partial<BinaryAttestorDeps> = {}) {
  const hasher = createFileHasher();
  t.after(() => hasher[Symbol.asyncDispose]());
  return binaryAttestor({ hasher, imaPresent: async () => false, ...deps });
}

async function started(t: TestContext, program: string, args: readonly string[]): Promise<ChildProcess> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  t.after(() => child.kill('SIGKILL'));
  await once(child, 'spawn');
  return child;
}

function workload(t: TestContext, { pid = 0 }: ChildProcess) {
  const process = openProcess(pid);
  t.after(() => process.close());
  return { pid, uid: 0, gid: 0, groups: [], process };
}

const sha256 = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');

describe('the binary attestor', () => {
  test('tells the digest of the file that runs, also when its name leads nowhere any more', async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'tm-binary-'));
    t.after(() => rmSync(directory, { recursive: true, force: true }));
    const copy = join(directory, 'program');
    copyFileSync(sleeper, copy);
    const caller = workload(t, await started(t, copy, ['60']));
    unlinkSync(copy);
    const found = await attestor(t).attest(caller, never);
    assert.deepEqual(found.map(formatSelector), [`binary:sha256:${sha256(sleeper)}`]);
  });

  test('claims that it was measured only where the kernel keeps a list', async (t) => {
    const caller = workload(t, await started(t, sleeper, ['60']));
    const found = await attestor(t, { imaPresent: async () => true }).attest(caller, never);
    assert.deepEqual(found.map(formatSelector), [`binary:sha256:${sha256(sleeper)}`, 'binary:measured:true']);
  });

  test('tells the fs-verity digest of a file that has one', async (t) => {
    const caller = workload(t, await started(t, sleeper, ['60']));
    const verity = async () => `sha256:${'ab'.repeat(32)}`;
    const found = await attestor(t, { verity }).attest(caller, never);
    assert.equal(found.map(formatSelector)[1], `binary:verity:sha256:${'ab'.repeat(32)}`);
  });

  test('asks the kernel for fs-verity, and a file without it has none', async () => {
    const file = await open(sleeper);
    try {
      assert.equal(await verityDigestOf(file), undefined);
    } finally {
      await file.close();
    }
  });

  test('refuses a program that lies in memory only', async (t) => {
    const memfdCreate = process.arch === 'arm64' ? 279 : 319;
    const script = `
      open(my $in, '<:raw', $ARGV[0]); my $program = do { local $/; <$in> };
      my $name = 'x'; my $fd = syscall(${memfdCreate}, $name, 0); open(my $out, '>&=', $fd); syswrite($out, $program);
      exec { "/proc/self/fd/$fd" } 'x', '60';`;
    const child = await started(t, 'perl', ['-e', script, sleeper]);
    const inMemory = () => executableLinkNow(child.pid ?? 0).startsWith('/memfd:');
    for (let round = 0; round < 200 && !inMemory(); round += 1) await setTimeout(20);
    await rejectsCode(
      'executable_in_memory',
      /runs a program that lies in memory only/,
      attestor(t).attest(workload(t, child), never),
    );
  });
});
