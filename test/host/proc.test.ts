import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { readProcIds } from '../../src/host/proc.js';
import { executableLinkNow, procCgroupNow, procIdsNow } from '../../src/host/proc-now.js';
import { parseStartTime, startTimeOf } from '../../src/host/proc-stat.js';

const NOBODY = 2 ** 22 - 1;
const gone = { code: 'peer_gone', message: `process ${NOBODY} ended while it was looked at` } as const;

describe('looking at a process', () => {
  test('its ids are those that it has', async () => {
    const ids = await readProcIds(process.pid);
    assert.equal(ids.uids[0], process.getuid?.());
    assert.equal(ids.uids[1], process.geteuid?.());
    assert.equal(ids.gids[1], process.getegid?.());
    assert.equal(ids.tracerPid, 0);
    assert.equal(ids.namespacePids[0], process.pid);
  });

  test('its ids are those that it changed to', async (t) => {
    if (process.getuid?.() !== 0) return t.skip('only root can become another user');
    const code =
      'process.setgroups([7]); process.setegid(6); process.seteuid(5); console.log(1); setInterval(() => {}, 1000)';
    const child = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(child.stdout, 'data');
    const ids = await readProcIds(child.pid ?? 0);
    assert.deepEqual(ids.uids, [0, 5, 0, 5]);
    assert.deepEqual(ids.gids, [0, 6, 0, 6]);
    assert.deepEqual(ids.groups, [7]);
    child.kill('SIGKILL');
    await once(child, 'exit');
  });

  test('its executable and cgroup are read at once', () => {
    assert.equal(executableLinkNow(process.pid), process.execPath);
    assert.equal(procCgroupNow(process.pid), readFileSync('/proc/self/cgroup', 'utf8'));
    assert.ok(startTimeOf(process.pid) > 0n);
  });

  test('a start time is found behind any program name', () => {
    const fields = Array.from({ length: 49 }, (_, at) => String(at + 4)).join(' ');
    for (const name of ['sh', 'a b', ') S 1 2 3', '((()', 'x) R 9 9 (']) {
      assert.equal(parseStartTime(`77 (${name}) S ${fields}`, 77), 22n);
    }
    for (const stat of ['', '77 (sh) S 1 2', 'nonsense', `77 (sh) S ${'x '.repeat(40)}`]) {
      assert.throws(() => parseStartTime(stat, 77), {
        code: 'proc_unreadable',
        message: '/proc/77/stat has no start time',
      });
    }
  });

  test('one that does not exist is gone, whatever is asked', async () => {
    assert.throws(() => startTimeOf(NOBODY), gone);
    await assert.rejects(readProcIds(NOBODY), gone);
    assert.throws(() => procIdsNow(NOBODY), gone);
    assert.throws(() => procCgroupNow(NOBODY), gone);
    assert.throws(() => executableLinkNow(NOBODY), gone);
  });

  test('one that we may not look at says which file', (t) => {
    if (process.getuid?.() !== 0) return t.skip('only root can become another user');
    const url = new URL('../../src/host/proc-now.js', import.meta.url).href;
    const script = `process.setgid(65534); process.setgroups([]); process.setuid(65534);
      const { executableLinkNow } = await import(${JSON.stringify(url)});
      try { executableLinkNow(1); } catch (error) { process.stdout.write(JSON.stringify([error.code, error.message])); }`;
    const output = execFileSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
    });
    assert.deepEqual(JSON.parse(output), ['proc_unreadable', '/proc/1/exe cannot be read (EACCES)']);
  });

  test('this process can forbid dumps of itself and still know its peers', () => {
    const harden = new URL('../../src/host/harden.js', import.meta.url).href;
    const handle = new URL('../../src/host/process-handle.js', import.meta.url).href;
    const script = `process.setgid?.(process.getgid() === 0 ? 65534 : process.getgid());
      if (process.getuid() === 0) process.setuid(65534);
      const { protectMemory } = await import(${JSON.stringify(harden)});
      const { openProcess } = await import(${JSON.stringify(handle)});
      const held = (protectMemory(), openProcess(process.pid));
      process.stdout.write(JSON.stringify([protectMemory(), held.alive(), (await import('node:fs')).statSync('/proc/self/mem').uid]));`;
    const output = execFileSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
    });
    assert.deepEqual(JSON.parse(output), [true, true, 0]);
  });
});
