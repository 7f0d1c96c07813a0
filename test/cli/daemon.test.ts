import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { program as agent } from '../../src/cli/agent/program.js';
import { program as server } from '../../src/cli/server/program.js';
import { type } from './type.js';

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tm-daemon-'));
});
after(() => rm(directory, { recursive: true }));

async function file(name: string, text: string): Promise<string> {
  const path = join(directory, name);
  await writeFile(path, text);
  return path;
}

test('validate says that a good file is good', async () => {
  const config = await file('good.toml', 'trust_domain = "example.org"\n');
  assert.deepEqual(await type(server, ['validate', '-config', config]), {
    code: 0,
    stdout: `${config}: good\n`,
    stderr: '',
  });
  const other = await file('agent.toml', 'trust_domain = "example.org"\nserver_address = "s"\n');
  assert.equal((await type(agent, ['validate', '-config', other])).code, 0);
});

for (const program of [server, agent]) {
  test(`validate and run of ${program.name} print every problem at once, with its place`, async () => {
    const config = await file('bad.toml', 'trust_domain = "a b"\nsocket_path = 3\n\n[log]\nlevle = "info"\n');
    const { code, stdout } = await type(program, ['validate', '-config', config]);
    assert.equal(code, 1);
    const lines = stdout.trim().split('\n');
    assert.ok(lines[0]?.startsWith(`${config}:1:1: `), stdout);
    for (const place of [
      '1:1: trust_domain',
      '2:1: socket_path: must be a string',
      '5:1: log.levle: unknown key',
    ])
      assert.ok(stdout.includes(`${config}:${place}`), place);
    const asked = await type(program, ['validate', '-config', config, '-output', 'json']);
    assert.equal(JSON.parse(asked.stdout).problems.length, lines.length);
    const run = await type(program, ['run', '-config', config]);
    assert.equal(run.code, 1);
    assert.equal(run.stdout, '');
    for (const line of lines) assert.ok(run.stderr.includes(line), line);
  });

  test(`a file that ${program.name} cannot read is named`, async () => {
    for (const verb of ['run', 'validate']) {
      const { code, stderr } = await type(program, [verb, '-config', '/nonexistent/x.toml']);
      assert.equal(code, 1);
      assert.match(stderr, /cannot read \/nonexistent\/x\.toml: ENOENT/);
      assert.match(stderr, /-config/);
    }
  });
}

test('flags stand for keys of the file and are checked like them', async () => {
  const config = await file('flags.toml', 'trust_domain = "$DOMAIN"\n');
  const words = ['validate', '-config', config, '-expandEnv', '-logLevel', 'loud', '-serverPort', '70000'];
  const { code, stdout } = await type(server, words, { environment: { DOMAIN: 'example.org' } });
  assert.equal(code, 1);
  assert.match(stdout, /log\.level: must be one of .*, not "loud"/);
  assert.match(stdout, /bind_port: must be between 0 and 65535, not 70000/);
  assert.doesNotMatch(stdout, /trust_domain/);
  const insecure = [
    'validate',
    '-config',
    config,
    '-trustDomain',
    'a',
    '-serverAddress',
    's',
    '-insecureBootstrap',
  ];
  assert.equal((await type(agent, insecure)).code, 0);
  const both = await type(agent, [...insecure, '-trustBundle', '/b.pem']);
  assert.match(both.stdout, /insecure_bootstrap: set either this or trust_bundle_file/);
});
