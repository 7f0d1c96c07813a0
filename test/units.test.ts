import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { program as agent } from '../src/cli/agent/program.js';
import { program as server } from '../src/cli/server/program.js';
import { agentKeys } from '../src/config/agent-keys.js';
import { serverKeys } from '../src/config/server-keys.js';
import { repoRoot } from './support/root.js';

const folder = join(repoRoot(), 'systemd');
const unit = (name: string) => readFileSync(join(folder, name), 'utf8');
/** Every value that a unit gives a setting, in order. */
const settings = (text: string, name: string) =>
  [...text.matchAll(new RegExp(`^${name}=(.*)$`, 'gm'))].map(([, value]) => value ?? '');

test('every unit starts a verb that there is, with the configuration that the verb would take by itself', () => {
  for (const program of [agent, server]) {
    const [binary = '', verb, flag = '', path] =
      settings(unit(`${program.name}.service`), 'ExecStart')[0]?.split(' ') ?? [];
    const started = program.verbs.find(({ name }) => name === verb);
    assert.equal(binary, `/usr/bin/${program.name}`);
    assert.equal(started?.flags?.find(({ name }) => `-${name}` === flag)?.default, path);
    assert.deepEqual(settings(unit(`${program.name}.service`), 'ConditionPathExists'), [path]);
  }
});

test('the sockets and directories that systemd makes are the ones in the tables of keys', () => {
  const agentDefault = (path: string) => agentKeys.find((key) => key.path === path)?.default;
  const serverDefault = (path: string) => serverKeys.find((key) => key.path === path)?.default;
  assert.deepEqual(settings(unit('touchmark-agent.socket'), 'ListenStream'), [agentDefault('socket_path')]);
  assert.deepEqual(settings(unit('touchmark-agent-admin.socket'), 'ListenStream'), [
    agentDefault('admin_socket_path'),
  ]);
  const [agentState] = settings(unit('touchmark-agent.service'), 'StateDirectory');
  const [serverState] = settings(unit('touchmark-server.service'), 'StateDirectory');
  const [serverRun] = settings(unit('touchmark-server.service'), 'RuntimeDirectory');
  assert.equal(`/var/lib/${agentState}`, agentDefault('data_dir'));
  assert.equal(`/var/lib/${serverState}`, serverDefault('data_dir'));
  assert.equal(`/run/${serverRun}/api.sock`, serverDefault('socket_path'));
});

test('no daemon that tells callers apart by uid runs in a user namespace of its own, where all look like nobody', () => {
  const services = readdirSync(folder).filter((name) => name.endsWith('.service'));
  assert.equal(services.length, 2);
  for (const name of services) assert.deepEqual(settings(unit(name), 'PrivateUsers'), [], name);
});

test('Node.js takes the options that the server is started with', () => {
  const [options = ''] = settings(unit('touchmark-server.service'), 'Environment');
  const [name, ...value] = options.split('=');
  assert.equal(name, 'NODE_OPTIONS');
  const environment = { ...process.env, NODE_OPTIONS: value.join('=') };
  // With an option that it does not take, it does not start.
  const said = execFileSync(process.execPath, ['-p', 'process.env.NODE_OPTIONS'], {
    env: environment,
    encoding: 'utf8',
  });
  assert.equal(said.trim(), value.join('='));
});
