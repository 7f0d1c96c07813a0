import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, chownSync, existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { statTellsContent } from '../../src/host/fixed-content.js';
import { createFileHasher } from '../../src/host/hash-file.js';

const asRoot = process.getuid?.() === 0;
const later = () => Date.now() + 60_000;

function fileIn(t: TestContext, parent: string, owner: number, mode = 0o755): string {
  const directory = mkdtempSync(join(parent, 'tm-fixed-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const path = join(directory, 'program');
  writeFileSync(path, 'A'.repeat(8192));
  chownSync(path, owner, owner);
  chmodSync(path, mode);
  return path;
}

function tells(path: string, now = later()): Promise<boolean> {
  return statTellsContent(statSync(path, { bigint: true }), path, now);
}

/** Changes bytes through a mapping whose pages were read first: on tmpfs no time of the file moves. */
function changeUnseen(path: string): void {
  const program = `import mmap,os,sys
fd=os.open(sys.argv[1],os.O_RDWR); m=mmap.mmap(fd,8192); m[0]; m[4096]; m[0]=66; m[4096]=66`;
  execFileSync('python3', ['-c', program, path]);
}

describe('whether times tell of every change', {
  skip: asRoot ? false : 'needs root to give files away',
}, () => {
  test('of a file that only root may write: yes, wherever it lies', async (t) => {
    for (const parent of [tmpdir(), '/dev/shm']) assert.equal(await tells(fileIn(t, parent, 0)), true);
  });

  test('of another user’s file on tmpfs, or one that others may write: no', async (t) => {
    assert.equal(await tells(fileIn(t, '/dev/shm', 1000)), false);
    assert.equal(await tells(fileIn(t, '/dev/shm', 0, 0o775)), false);
    assert.equal(await tells(fileIn(t, '/dev/shm', 0, 0o757)), false);
  });

  test('of a file that changed a moment ago: no, the clock of file times is coarse', async (t) => {
    assert.equal(await tells(fileIn(t, tmpdir(), 1000), Date.now()), false);
  });

  test('the digest of a file that was changed without a trace is that of its new content', async (t) => {
    if (!existsSync('/dev/shm')) return t.skip('no tmpfs at /dev/shm');
    await using hasher = createFileHasher({ now: later });
    const path = fileIn(t, '/dev/shm', 1000);
    const digest = async () => {
      const file = await open(path);
      try {
        return await hasher.sha256(file, 0);
      } finally {
        await file.close();
      }
    };
    const before = statSync(path, { bigint: true });
    assert.equal(await digest(), createHash('sha256').update('A'.repeat(8192)).digest('hex'));
    changeUnseen(path);
    const after = statSync(path, { bigint: true });
    assert.deepEqual(
      [after.ctimeNs, after.mtimeNs, after.size],
      [before.ctimeNs, before.mtimeNs, before.size],
    );
    const changed = `B${'A'.repeat(4095)}`.repeat(2);
    assert.equal(await digest(), createHash('sha256').update(changed).digest('hex'));
    assert.equal(hasher.known(after), undefined);
  });
});
