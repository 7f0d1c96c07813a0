import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, fstatSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import {
  closeOnExec,
  duplicate,
  ERRNO,
  isClockSynchronised,
  isDumpable,
  peerCredentials,
  peerGroups,
  peerPidfd,
  pidfdEnded,
  pidfdOpen,
  SystemCallError,
  tryLock,
} from '../../native/libc.js';

const directory = mkdtempSync(join(tmpdir(), 'tm-libc-'));
after(() => rmSync(directory, { recursive: true, force: true }));

const flagsOf = (fd: number) =>
  Number.parseInt(/flags:\s*(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1] ?? '', 8);
const CLOEXEC = 0o2000000;

describe('system calls', () => {
  test('a pidfd tells when its process has ended, zombie or not', async () => {
    const child = spawn('sleep', ['30'], { stdio: 'ignore' });
    const fd = pidfdOpen(child.pid ?? 0);
    assert.equal(flagsOf(fd) & CLOEXEC, CLOEXEC);
    assert.equal(pidfdEnded(fd), false);
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
    assert.equal(pidfdEnded(fd), true);
    closeSync(fd);
  });

  test('the kernel says whether a time service keeps the clock, or may not be asked', () => {
    assert.ok([true, false, undefined].includes(isClockSynchronised()));
  });

  test('failures carry the number of the kernel', () => {
    assert.throws(
      () => pidfdOpen(2 ** 22 - 1),
      (error) => {
        assert.ok(error instanceof SystemCallError);
        assert.equal(error.errno, ERRNO.ESRCH);
        assert.equal(error.message, 'pidfd_open failed with errno 3');
        return true;
      },
    );
    const fd = openSync('/dev/null', 'r');
    for (const call of [peerCredentials, peerGroups, peerPidfd]) {
      assert.throws(() => call(fd), { name: 'SystemCallError', errno: 88 });
    }
    closeSync(fd);
  });

  test('a duplicate is another descriptor for the same thing, closed on exec', () => {
    const fd = openSync('/dev/null', 'r');
    const copy = duplicate(fd);
    assert.notEqual(copy, fd);
    closeSync(fd);
    assert.ok(fstatSync(copy).isCharacterDevice());
    assert.equal(flagsOf(copy) & CLOEXEC, CLOEXEC);
    closeOnExec(copy);
    closeSync(copy);
    assert.throws(() => closeOnExec(copy), { message: 'fcntl failed with errno 9' });
  });

  test('a lock excludes every other opening of the file until its own is closed', () => {
    const path = join(directory, 'lock');
    const [one, two] = [openSync(path, 'w'), openSync(path, 'w')];
    assert.equal(tryLock(one), true);
    assert.equal(tryLock(one), true);
    assert.equal(tryLock(two), false);
    closeSync(one);
    assert.equal(tryLock(two), true);
    closeSync(two);
    assert.throws(() => tryLock(two), { message: 'flock failed with errno 9' });
  });

  test('a process may be dumped until it says otherwise', () => {
    assert.equal(isDumpable(), true);
  });
});
