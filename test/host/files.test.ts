import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { readFileBounded, writeFileAtomic } from '../../src/host/atomic-file.js';
import { lockDirectory } from '../../src/host/lock.js';

const directory = mkdtempSync(join(tmpdir(), 'tm-files-'));
after(() => rmSync(directory, { recursive: true, force: true }));

function fresh(name: string): string {
  const path = join(directory, name);
  mkdirSync(path);
  return path;
}

describe('writing a file in one step', () => {
  test('gives it the content, mode 0600 by default and nothing beside it', async () => {
    const place = fresh('write');
    const path = join(place, 'key.pem');
    await writeFileAtomic(path, 'first');
    assert.equal(statSync(path).mode & 0o777, 0o600);
    await writeFileAtomic(path, Buffer.from('second'), { mode: 0o644 });
    assert.equal(readFileSync(path, 'utf8'), 'second');
    assert.equal(statSync(path).mode & 0o777, 0o644);
    assert.deepEqual(readdirSync(place), ['key.pem']);
  });

  test('replaces a link instead of writing through it', async () => {
    const place = fresh('link');
    writeFileSync(join(place, 'victim'), 'untouched');
    symlinkSync(join(place, 'victim'), join(place, 'target'));
    await writeFileAtomic(join(place, 'target'), 'new');
    assert.equal(readFileSync(join(place, 'victim'), 'utf8'), 'untouched');
    assert.equal(readFileSync(join(place, 'target'), 'utf8'), 'new');
  });

  test('leaves the old content and no rubbish when it fails', async () => {
    const place = fresh('fail');
    mkdirSync(join(place, 'taken'));
    writeFileSync(join(place, 'taken', 'inside'), '');
    await assert.rejects(writeFileAtomic(join(place, 'taken'), 'x'), { code: 'EISDIR' });
    assert.deepEqual(readdirSync(place), ['taken']);
  });

  test('readers never see a part of it', async () => {
    const path = join(fresh('parallel'), 'state');
    const contents = Array.from({ length: 20 }, (_, at) => String(at).repeat(50_000));
    await writeFileAtomic(path, contents[0] ?? '');
    let writing = true;
    const reader = (async () => {
      let reads = 0;
      while (writing) {
        const seen = (await readFileBounded(path, 200_000))?.toString() ?? '';
        assert.ok(contents.includes(seen));
        reads += 1;
      }
      return reads;
    })();
    for (const content of contents) await writeFileAtomic(path, content);
    writing = false;
    assert.ok((await reader) > 0);
  });
});

describe('reading a file with a bound', () => {
  test('gives what is there up to the bound, and undefined where there is nothing', async () => {
    const path = join(fresh('read'), 'file');
    writeFileSync(path, '0123456789');
    assert.equal((await readFileBounded(path, 10))?.toString(), '0123456789');
    assert.equal(await readFileBounded(`${path}.none`, 10), undefined);
    assert.match((await readFileBounded('/proc/self/status', 100_000))?.toString() ?? '', /^Name:/);
  });

  test('refuses more than the bound, also from what has no end', async () => {
    const path = join(directory, 'read', 'file');
    await assert.rejects(readFileBounded(path, 9), {
      code: 'file_too_large',
      message: `${path} is larger than 9 bytes`,
    });
    await assert.rejects(readFileBounded('/dev/zero', 100_000), {
      code: 'file_too_large',
      message: '/dev/zero is larger than 100000 bytes',
    });
  });

  test('does not wait for a writer of a named pipe', async () => {
    const path = join(directory, 'read', 'pipe');
    execFileSync('mkfifo', [path]);
    assert.equal((await readFileBounded(path, 10))?.length, 0);
  });
});

describe('a locked directory', () => {
  test('refuses a second holder by name, and is free again after release', async () => {
    const place = fresh('lock');
    const lock = await lockDirectory(place);
    await assert.rejects(lockDirectory(place), {
      code: 'directory_locked',
      message: `${place} is in use by process ${process.pid}`,
      detail: { pid: String(process.pid) },
    });
    await lock.release();
    await lock.release();
    await using again = await lockDirectory(place);
    assert.ok(again);
    assert.equal(statSync(join(place, 'lock')).mode & 0o777, 0o600);
  });

  test('is free once its holder was killed, and programs that the holder started do not keep it', async () => {
    const place = fresh('killed');
    const url = new URL('../../src/host/lock.js', import.meta.url).href;
    const script = `const { lockDirectory } = await import(${JSON.stringify(url)});
      globalThis.lock = await lockDirectory(${JSON.stringify(place)});
      const { spawn } = await import('node:child_process');
      const child = spawn('sleep', ['30'], { stdio: 'ignore', detached: true });
      process.stdout.write(String(child.pid)); setInterval(() => {}, 1000);`;
    const holder = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [started] = await once(holder.stdout, 'data');
    await assert.rejects(lockDirectory(place), {
      code: 'directory_locked',
      message: `${place} is in use by process ${holder.pid}`,
    });
    const exit = once(holder, 'exit');
    holder.kill('SIGKILL');
    await exit;
    await using lock = await lockDirectory(place);
    assert.ok(lock);
    process.kill(Number(String(started)), 'SIGKILL');
  });

  test('says another process when the holder has not written its number', async () => {
    const place = fresh('nameless');
    await using lock = await lockDirectory(place);
    assert.ok(lock);
    writeFileSync(join(place, 'lock'), '');
    await assert.rejects(lockDirectory(place), {
      code: 'directory_locked',
      message: `${place} is in use by another process`,
    });
  });

  test('that does not exist or is not ours is an error of the file system', async () => {
    await assert.rejects(lockDirectory(join(directory, 'nowhere')), { code: 'ENOENT' });
    if (process.getuid?.() === 0) return;
    const place = fresh('forbidden');
    chmodSync(place, 0o500);
    await assert.rejects(lockDirectory(place), { code: 'EACCES' });
  });
});
