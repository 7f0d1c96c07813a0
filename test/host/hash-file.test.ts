import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { appendFileSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { createFileHasher } from '../../src/host/hash-file.js';

const directory = mkdtempSync(join(tmpdir(), 'tm-hash-'));
after(() => rmSync(directory, { recursive: true, force: true }));

function makeFile(name: string, content: Uint8Array | string): string {
  const path = join(directory, name);
  writeFileSync(path, content);
  return path;
}

async function withFile<T>(path: string, work: (file: FileHandle) => Promise<T>): Promise<T> {
  const file = await open(path, 'r');
  try {
    return await work(file);
  } finally {
    await file.close();
  }
}

const sha256 = (content: Uint8Array | string) => createHash('sha256').update(content).digest('hex');

describe('file hasher', () => {
  test('hashes what is in the file, wherever its position stands, and remembers it', async () => {
    await using hasher = createFileHasher();
    const content = randomBytes(700_001);
    const path = makeFile('content', content);
    await withFile(path, async (file) => {
      await file.read(Buffer.alloc(100), 0, 100, null);
      assert.equal(await hasher.sha256(file, 0), sha256(content));
    });
    assert.equal(hasher.cached, 1);
    assert.equal(await withFile(path, (file) => hasher.sha256(file, 0)), sha256(content));
    assert.equal(hasher.cached, 1);
  });

  test('hashes an empty file', async () => {
    await using hasher = createFileHasher();
    assert.equal(await withFile(makeFile('empty', ''), (file) => hasher.sha256(file, 0)), sha256(''));
  });

  test('hashes again when the content changed and its time was set back', async () => {
    await using hasher = createFileHasher();
    const path = makeFile('changing', 'before');
    utimesSync(path, 1000, 1000);
    assert.equal(await withFile(path, (file) => hasher.sha256(file, 0)), sha256('before'));
    writeFileSync(path, 'behind');
    utimesSync(path, 1000, 1000);
    assert.equal(await withFile(path, (file) => hasher.sha256(file, 0)), sha256('behind'));
  });

  test('shares one hashing among callers at the same time', async () => {
    await using hasher = createFileHasher();
    const content = randomBytes(8_000_000);
    const path = makeFile('shared', content);
    await withFile(path, async (file) => {
      const started = performance.now();
      const first = await hasher.sha256(file, 0);
      const alone = performance.now() - started;
      assert.equal(first, sha256(content));
      assert.ok(alone < 5000);
    });
    appendFileSync(path, 'x');
    await withFile(path, async (file) => {
      const all = await Promise.all(Array.from({ length: 20 }, () => hasher.sha256(file, 0)));
      assert.deepEqual(new Set(all), new Set([sha256(Buffer.concat([content, Buffer.from('x')]))]));
    });
    assert.equal(hasher.cached, 2);
  });

  test('forgets the least recently used file when it is full', async () => {
    await using hasher = createFileHasher({ maxEntries: 3 });
    for (let at = 0; at < 10; at += 1)
      await withFile(makeFile(`many-${at}`, `${at}`), (file) => hasher.sha256(file, 0));
    assert.equal(hasher.cached, 3);
  });

  test('refuses a file above the limit', async () => {
    await using hasher = createFileHasher({ maxBytes: 10 });
    const path = makeFile('large', '01234567890');
    await assert.rejects(
      withFile(path, (file) => hasher.sha256(file, 0)),
      {
        code: 'hash_refused',
        message: 'the file is larger than 10 bytes',
      },
    );
    assert.equal(hasher.cached, 0);
  });

  test('refuses what is not a regular file', async () => {
    await using hasher = createFileHasher();
    await assert.rejects(
      withFile('/dev/zero', (file) => hasher.sha256(file, 0)),
      {
        code: 'hash_refused',
        message: 'only regular files are hashed',
      },
    );
    await assert.rejects(
      withFile(directory, (file) => hasher.sha256(file, 0)),
      {
        code: 'hash_refused',
        message: 'only regular files are hashed',
      },
    );
  });

  test('gives up after its time limit and works again afterwards', async () => {
    await using hasher = createFileHasher({ timeoutMs: 30, maxBytes: 2 ** 40 });
    const path = join(directory, 'sparse');
    execFileSync('truncate', ['-s', '64G', path]);
    const started = performance.now();
    await assert.rejects(
      withFile(path, (file) => hasher.sha256(file, 0)),
      {
        code: 'hash_refused',
        message: 'hashing took longer than 30 ms',
      },
    );
    assert.ok(performance.now() - started < 2000);
    rmSync(path);
  });

  test('a user with many large files does not stop the hashing of another', async () => {
    await using hasher = createFileHasher({ maxBytes: 2 ** 40, timeoutMs: 10_000 });
    const small = makeFile('small', 'abc');
    const large = Array.from({ length: 30 }, (_, at) => makeFile(`large-${at}`, ''));
    for (const path of large) execFileSync('truncate', ['-s', '256M', path]);
    const order: string[] = [];
    const theirs = large.map((path) =>
      withFile(path, (file) => hasher.sha256(file, 1)).then(
        () => order.push('large'),
        () => order.push('stopped'),
      ),
    );
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(await withFile(small, (file) => hasher.sha256(file, 2)), sha256('abc'));
    assert.ok(order.length <= 2, `after ${order.length} files of the other user`);
    await hasher[Symbol.asyncDispose]();
    await Promise.all(theirs);
    assert.ok(order.includes('stopped'));
  });

  test('the time limit of a file begins with its turn, and one that exceeds it costs only its user', async () => {
    await using hasher = createFileHasher({ maxBytes: 2 ** 40, timeoutMs: 2_000 });
    const path = join(directory, 'endless');
    execFileSync('truncate', ['-s', '64G', path]);
    const slow = withFile(path, (file) => hasher.sha256(file, 1));
    await new Promise((resolve) => setTimeout(resolve, 50));
    const small = makeFile('patient', 'abc');
    const waiting = withFile(small, (file) => hasher.sha256(file, 2));
    await assert.rejects(slow, { code: 'hash_refused', message: 'hashing took longer than 2000 ms' });
    assert.equal(await waiting, sha256('abc'));
    rmSync(path);
  });

  test('reports a file that is written while it is hashed', async () => {
    await using hasher = createFileHasher();
    const path = makeFile('moving', randomBytes(30_000_000));
    await withFile(path, async (file) => {
      const hashing = hasher.sha256(file, 0);
      await new Promise((resolve) => setTimeout(resolve, 15));
      appendFileSync(path, 'more');
      await assert.rejects(hashing, {
        code: 'hash_changed',
        message: 'the file changed while it was hashed',
      });
    });
  });

  test('leaves the event loop free while it works', async () => {
    await using hasher = createFileHasher();
    const path = makeFile('busy', randomBytes(60_000_000));
    let longest = 0;
    let last = performance.now();
    const ticker = setInterval(() => {
      longest = Math.max(longest, performance.now() - last);
      last = performance.now();
    }, 1);
    await withFile(path, (file) => hasher.sha256(file, 0));
    clearInterval(ticker);
    assert.ok(longest < 100, `the loop stood still for ${longest} ms`);
  });
});
