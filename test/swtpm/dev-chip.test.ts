import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { runProgram } from '../../src/cli/run.js';
import { program } from '../../src/cli/touchmark/program.js';
import { type } from '../cli/type.js';
import { haveSwtpm } from '../support/swtpm.js';

test('dev chip runs a chip until it is signalled, and leaves its files', async (t) => {
  if (!(await haveSwtpm(t))) return;
  const directory = await mkdtemp(join(tmpdir(), 'tm-dc-'));
  t.after(() => rm(directory, { recursive: true }));
  const abort = new AbortController();
  let tell = (_text: string): void => {};
  const line = new Promise<string>((resolve) => {
    tell = resolve;
  });
  let errors = '';
  const ended = runProgram(program, ['dev', 'chip', directory], {
    stdout: (text) => tell(text),
    stderr: (text) => {
      errors += text;
    },
    environment: {},
    version: '1',
    signal: abort.signal,
    readStdin: async () => '',
  });
  const said = await Promise.race([line, ended]);
  assert.equal(typeof said, 'string', errors);
  const chip = JSON.parse(String(said));
  assert.deepEqual(Object.keys(chip), ['tcti', 'pid', 'anchors']);
  assert.match(await readFile(chip.anchors, 'utf8'), /^-----BEGIN CERTIFICATE-----/);
  const looked = await type(program, ['inspect', 'tpm', '-tcti', chip.tcti, '-output', 'json']);
  assert.equal(looked.code, 0, looked.stderr);
  assert.ok(existsSync(`/proc/${chip.pid}`));
  abort.abort();
  assert.equal(await ended, 0);
  assert.ok(!existsSync(`/proc/${chip.pid}`));
  assert.ok(existsSync(join(directory, 'state')));
});
