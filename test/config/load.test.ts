import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configOrThrow, loadAgentConfig, loadServerConfig } from '../../src/config/load.js';
import { formatProblem } from '../../src/config/problem.js';

const problemsOf = (text: string) => loadServerConfig('server.toml', text).problems.map(formatProblem);

test('a file with only a trust domain gives a whole configuration', () => {
  const config = configOrThrow(loadServerConfig('server.toml', 'trust_domain = "example.org"\n'));
  assert.equal(config.trustDomain, 'example.org');
  assert.equal(config.svid.x509Ttl, 3600);
  assert.equal(config.ca.ttl, 86_400);
  assert.deepEqual(config.datastore, { type: 'level', path: '/var/lib/touchmark/server/store' });
  assert.deepEqual(config.keyManager, { type: 'disk', path: '/var/lib/touchmark/server/keys.json' });
  assert.equal(config.attestation.tpm?.enrol, 'approval');
  assert.deepEqual(config.attestation.tpm?.pcrs.length, 16);
  assert.deepEqual(config.attestation.joinToken, {});
  assert.equal(config.attestation.x509pop, undefined);
  assert.deepEqual(config.rateLimits, { attest: 1, sign: 500, postStatus: 10 });
});

test('operators may write the trust domain as an ID and in capitals', () => {
  assert.equal(
    configOrThrow(loadServerConfig('f', 'trust_domain = "spiffe://Example.ORG"')).trustDomain,
    'example.org',
  );
});

test('every problem is shown at once, with its place', () => {
  const text = [
    'trust_domain = "exa mple"',
    'bind_prot = 1',
    '',
    '[svid]',
    '  x509_ttl = "5h"',
    'jwt_ttl = 7',
    '[ca]',
    'key_type = "ed25519"',
  ].join('\n');
  assert.deepEqual(problemsOf(text), [
    'server.toml:1:1: trust_domain: trust domain "exa mple": it has a character outside a-z 0-9 . - _',
    'server.toml:2:1: bind_prot: unknown key; did you mean "bind_port"?',
    'server.toml:5:3: svid.x509_ttl: 18000 s is more than a sixth of ca.ttl (14400 s): lengthen ca.ttl or shorten this',
    'server.toml:6:1: svid.jwt_ttl: must be a duration such as "1h30m"',
    'server.toml:8:1: ca.key_type: must be one of ec-p256, ec-p384, rsa-2048, rsa-4096, not "ed25519"',
  ]);
});

test('a missing trust domain is one problem', () => {
  assert.deepEqual(problemsOf(''), ['server.toml:1:1: trust_domain: this key is required']);
});

test('broken TOML is reported where it breaks', () => {
  assert.match(problemsOf('trust_domain = "a"\nbind_port = = 3')[0] ?? '', /^server\.toml:2:13: /);
});

test('configOrThrow carries every problem under one code', () => {
  assert.throws(() => configOrThrow(loadServerConfig('s.toml', 'a = 1\n')), {
    code: 'config_invalid',
    message: 's.toml:1:1: a: unknown key\ns.toml:1:1: trust_domain: this key is required',
  });
});

test('administrators are read from list tables', () => {
  const head = 'trust_domain = "example.org"\n';
  const good = `${head}[[administrator]]\nuid = 1000\nrole = "viewer"\n[[administrator]]\nspiffe_id = "spiffe://example.org/ops"\nrole = "admin"\n`;
  assert.deepEqual(configOrThrow(loadServerConfig('f', good)).administrators, [
    { uid: 1000, role: 'viewer' },
    { spiffeId: 'spiffe://example.org/ops', role: 'admin' },
  ]);
  assert.deepEqual(problemsOf(`${head}[[administrator]]\nrole = "admin"\n[[administrator]]\nuid = 3\n`), [
    'server.toml:2:1: administrator.0: name either a spiffe_id or a uid',
    'server.toml:4:1: administrator.1.role: this key is required',
  ]);
});

test('an upstream authority must be whole', () => {
  const text = 'trust_domain = "example.org"\n[upstream_authority]\ntype = "disk"\ncert_file = "/ca.pem"\n';
  assert.deepEqual(problemsOf(text), ['server.toml:2:1: upstream_authority.key_file: this key is required']);
});

test('the command line wins over the file and the environment is expanded when asked', () => {
  const overrides = new Map<string, unknown>([['bind_port', 9000]]);
  const environment = { DOMAIN: 'example.org' };
  const loaded = loadServerConfig('f', 'trust_domain = "$DOMAIN"\nbind_port = 1\n', {
    overrides,
    environment,
  });
  assert.equal(configOrThrow(loaded).bindPort, 9000);
  assert.equal(configOrThrow(loaded).trustDomain, 'example.org');
});

test('an agent needs what its way of attesting needs', () => {
  const head = 'trust_domain = "example.org"\nserver_address = "server.example.org"\n';
  assert.deepEqual(configOrThrow(loadAgentConfig('a', head)).attestation, {
    type: 'tpm',
    tcti: 'device:/dev/tpmrm0',
    endorsementAuthFile: '',
    akGeneration: 0,
  });
  const problems = loadAgentConfig('a', `${head}[attestation]\ntype = "join_token"\n`).problems;
  assert.deepEqual(problems.map(formatProblem), [
    'a:3:1: attestation.join_token_file: this key is required for this attestation.type',
  ]);
});

test('an agent without any workload attestor is refused', () => {
  const text = `trust_domain = "a"\nserver_address = "s"\n[workload_attestors.unix]\nenabled = false\n[workload_attestors.systemd]\nenabled = false\n`;
  assert.deepEqual(loadAgentConfig('a', text).problems.map(formatProblem), [
    'a:1:1: workload_attestors: enable at least one, or no workload gets an identity',
  ]);
});
