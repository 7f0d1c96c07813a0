import assert from 'node:assert/strict';
import { chmod, chown, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, describe, test } from 'node:test';
import { openDiskKeyManager } from '../../../src/server/key-managers/disk.js';
import { openKeyManager } from '../../../src/server/key-managers/key-manager-table.js';
import { testKeyManager } from './contract.js';

const scratch = await mkdtemp(join(tmpdir(), 'touchmark-keys-'));
let count = 0;
const fresh = () => join(scratch, `keys-${count++}.json`);
after(() => rm(scratch, { recursive: true, force: true }));

testKeyManager('disk', () => openDiskKeyManager(fresh()));

describe('the key file', () => {
  test('keys survive closing', async () => {
    const path = fresh();
    const first = await openKeyManager({ type: 'disk', path });
    const key = await first.generate('x509-1', 'ec-p384');
    await first[Symbol.asyncDispose]();
    await using again = await openKeyManager({ type: 'disk', path });
    assert.equal((await again.get('x509-1'))?.equals(key), true);
  });

  test('a removed key is not in the file any more', async () => {
    const path = fresh();
    await using manager = await openDiskKeyManager(path);
    await manager.generate('keep', 'ec-p256');
    await manager.generate('drop', 'ec-p256');
    await manager.remove('drop');
    assert.deepEqual(Object.keys(JSON.parse(await readFile(path, 'utf8')).keys), ['keep']);
  });

  test('it is 0600 whatever the umask, and nothing is left beside it', async () => {
    const path = fresh();
    const umask = process.umask(0);
    try {
      await using manager = await openDiskKeyManager(path);
      await manager.generate('k', 'ec-p256');
    } finally {
      process.umask(umask);
    }
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    assert.ok(!(await readdir(scratch)).some((name) => name.endsWith('.tmp')));
  });

  test('what a write that was cut off has left is removed at the next start, and nothing else', async () => {
    const path = fresh();
    const name = basename(path);
    const leftover = join(scratch, `.${name}.0011aabbccdd.tmp`);
    const neighbour = join(scratch, `.other-${name}.0011aabbccdd.tmp`);
    await writeFile(leftover, 'torn');
    await writeFile(neighbour, 'mine');
    await using manager = await openDiskKeyManager(path);
    await manager.generate('k', 'ec-p256');
    await assert.rejects(stat(leftover), { code: 'ENOENT' });
    assert.equal(await readFile(neighbour, 'utf8'), 'mine');
    await rm(neighbour);
  });

  for (const mode of [0o640, 0o604, 0o660, 0o666, 0o610]) {
    test(`a file of mode 0${mode.toString(8)} is refused with a sentence`, async () => {
      const path = fresh();
      await writeFile(path, '{"format":1,"keys":{}}');
      await chmod(path, mode);
      await assert.rejects(openDiskKeyManager(path), {
        code: 'key_file_permissions',
        message: `the key file ${path} has mode 0${mode.toString(8)}, wider than 0600`,
      });
    });
  }

  test("another user's file is refused", async (t) => {
    if (process.geteuid?.() !== 0) return t.skip('only root can give a file away');
    const path = fresh();
    await writeFile(path, '{"format":1,"keys":{}}', { mode: 0o600 });
    await chown(path, 12345, 12345);
    await assert.rejects(openDiskKeyManager(path), {
      code: 'key_file_permissions',
      message: `the key file ${path} belongs to uid 12345, not to this server`,
    });
  });

  const damaged: [string, string, RegExp][] = [
    ['half a file', '{"format":1,"keys":{"a":"MIG', /damaged: it is not JSON$/],
    ['another format', '{"format":2,"keys":{}}', /damaged: it is not of format 1$/],
    ['null', 'null', /damaged: it is not of format 1$/],
    ['keys that are null', '{"format":1,"keys":null}', /damaged: it is not of format 1$/],
    [
      'no key',
      '{"format":1,"keys":{"a":"c2VjcmV0"}}',
      /damaged: its key "a" cannot be used: the private key is not PKCS#8 in DER$/,
    ],
    ['a huge file', ' '.repeat(2 ** 20 + 1), /damaged: it is longer than 1048576 bytes$/],
  ];
  for (const [what, content, message] of damaged) {
    test(`${what} is refused without telling its content`, async () => {
      const path = fresh();
      await writeFile(path, content, { mode: 0o600 });
      await assert.rejects(openDiskKeyManager(path), (error: Error & { code?: string }) => {
        assert.equal(error.code, 'key_file_invalid');
        assert.match(error.message, message);
        assert.ok(!JSON.stringify(error).includes('c2VjcmV0') && !error.message.includes('MIG'));
        return true;
      });
    });
  }

  test('a directory that is not there fails the change and keeps the keys of before', async () => {
    const path = join(scratch, 'missing', 'keys.json');
    await using manager = await openDiskKeyManager(path);
    await assert.rejects(manager.generate('k', 'ec-p256'), {
      code: 'key_file_failed',
      message: /^the key file .*missing\/keys\.json could not be written: ENOENT/,
    });
    assert.equal(await manager.get('k'), undefined);
  });
});
