import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { secretReader } from '../../src/agent/secrets.js';
import { rejectsCode } from '../support/rejects-async.js';

async function directory(t: test.TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'tm-secret-'));
  t.after(() => rm(path, { recursive: true, force: true }));
  return path;
}

test('a path is read as it is, byte for byte', async (t) => {
  const path = join(await directory(t), 'token');
  await writeFile(path, Buffer.from([0, 255, 10]));
  const read = secretReader({});
  assert.deepEqual([...(await read(path, 'join token'))], [0, 255, 10]);
});

test('a bare name is the systemd credential of that name', async (t) => {
  const credentials = await directory(t);
  await writeFile(join(credentials, 'touchmark.token'), 'abc');
  const read = secretReader({ CREDENTIALS_DIRECTORY: credentials });
  assert.equal(Buffer.from(await read('touchmark.token', 'join token')).toString(), 'abc');
});

test('without a credentials directory a bare name is refused, not looked for in the working directory', async () => {
  for (const environment of [{}, { CREDENTIALS_DIRECTORY: '' }]) {
    await rejectsCode(
      'node_secret_missing',
      /^the join token is to come from the systemd credential package.json, but there is no CREDENTIALS_DIRECTORY$/,
      secretReader(environment)('package.json', 'join token'),
    );
  }
});

test('no file, a missing file and a directory are told apart', async (t) => {
  const base = await directory(t);
  const read = secretReader({ CREDENTIALS_DIRECTORY: base });
  await rejectsCode(
    'node_secret_missing',
    /^no file is configured for the private key$/,
    read('', 'private key'),
  );
  await rejectsCode(
    'node_secret_missing',
    /^the private key is not there: .*\/absent does not exist$/,
    read('absent', 'private key'),
  );
  await mkdir(join(base, 'folder'));
  await rejectsCode(
    'node_secret_missing',
    /^the private key in .*\/folder cannot be read: /,
    read(join(base, 'folder'), 'private key'),
  );
});

test('a file beyond all measure is refused, and none of it is in the message', async (t) => {
  const path = join(await directory(t), 'large');
  await writeFile(path, 'secret-'.repeat(200_000));
  const error = await rejectsCode(
    'node_secret_missing',
    /^the join token in .*\/large cannot be read: /,
    secretReader({})(path, 'join token'),
  );
  assert.ok(!error.message.includes('secret-secret'));
});

test('the file is read at each call, for it may have been replaced', async (t) => {
  const path = join(await directory(t), 'token');
  const read = secretReader({});
  await writeFile(path, 'one');
  assert.equal(Buffer.from(await read(path, 'join token')).toString(), 'one');
  await writeFile(path, 'two');
  assert.equal(Buffer.from(await read(path, 'join token')).toString(), 'two');
});
