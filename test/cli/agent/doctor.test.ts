import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { program } from '../../../src/cli/agent/program.js';
import { type } from '../type.js';

interface Answer {
  readonly findings: { readonly level: string; readonly code: string; readonly message: string }[];
  readonly errors: number;
  readonly warnings: number;
}

async function doctor(t: TestContext, toml: string) {
  const directory = await mkdtemp(join(tmpdir(), 'tm-doc-'));
  t.after(() => rm(directory, { recursive: true }));
  const file = join(directory, 'agent.toml');
  if (toml !== '') await writeFile(file, toml.replaceAll('DIR', directory));
  const words = ['doctor', '-config', file, '-tcti', `device:${directory}/tpm`];
  const json = await type(program, [...words, '-output', 'json']);
  const answer = JSON.parse(json.stdout) as Answer;
  return { directory, file, code: json.code, answer, text: await type(program, words) };
}

const good = `trust_domain = "example.org"
server_address = "127.0.0.1"
server_port = 1
data_dir = "DIR/data"
socket_path = "DIR/api.sock"
[attestation]
endorsement_auth_file = "DIR/no-password"
[measurement]
securityfs = "DIR/sec"
userspace_log = "DIR/measure.log"
`;

test('a host that cannot attest is told so in text and JSON, with exit code 1', async (t) => {
  const { directory, file, code, answer, text } = await doctor(t, good);
  assert.deepEqual([code, text.code], [1, 1]);
  const messages = new Map(answer.findings.map(({ code: name, message }) => [name, message]));
  assert.equal(messages.get('config'), `${file} is good`);
  assert.equal(messages.get('tpm_missing'), `there is no ${directory}/tpm`);
  assert.match(messages.get('not_seen') ?? '', /^the endorsement hierarchy password is not there/);
  assert.match(messages.get('boot_log_absent') ?? '', new RegExp(`${directory}/sec/tpm0`));
  assert.match(messages.get('userspace_log_absent') ?? '', /measure\.log$/);
  assert.match(messages.get('data_dir_missing') ?? '', new RegExp(`${directory}/data`));
  assert.match(messages.get('server_unreachable') ?? '', /^127\.0\.0\.1 port 1 does not answer/);
  assert.equal(answer.errors, answer.findings.filter(({ level }) => level === 'error').length);
  assert.match(text.stdout, /^ERROR {4}there is no .*\/tpm$/m);
  assert.match(text.stdout, /^ {11}Enable the TPM in the firmware setup/m);
  assert.match(text.stdout, new RegExp(`^${answer.errors} errors, ${answer.warnings} warnings?\n$`, 'm'));
});

test('a wrong file is told problem by problem, and the rest is examined all the same', async (t) => {
  const { answer } = await doctor(t, 'trust_domain = "example.org"\nserver_adress = "x"\n');
  const wrong = answer.findings.filter(({ code }) => code === 'config_invalid');
  assert.equal(wrong.length, 2);
  assert.match(wrong.map(({ message }) => message).join('\n'), /server_adress/);
  assert.ok(answer.findings.some(({ code }) => code === 'tpm_missing'));
  assert.ok(!answer.findings.some(({ code }) => code.startsWith('server')));
});

test('without a file the usual places are looked at', async (t) => {
  const { file, answer } = await doctor(t, '');
  assert.equal(answer.findings[0]?.message, `there is no ${file}`);
  assert.equal(answer.findings[0]?.level, 'note');
});
