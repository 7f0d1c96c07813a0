import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configOrThrow, loadAgentConfig, loadServerConfig, readConfigFile } from '../../src/config/load.js';
import { formatProblem } from '../../src/config/problem.js';

const server = (more: string) =>
  configOrThrow(loadServerConfig('s', `trust_domain = "example.org"\n${more}`));
const agent = (more: string) =>
  configOrThrow(loadAgentConfig('a', `trust_domain = "example.org"\nserver_address = "s"\n${more}`));
const problems = (more: string) =>
  loadServerConfig('s', `trust_domain = "example.org"\n${more}`).problems.map(formatProblem);

test('every key of a server’s TPM attestation reaches its place', () => {
  const { attestation } = server(`[attestation.tpm]
enrol = "any-genuine"
any_genuine_algorithm = "p384"
vendor_anchors = false
anchor_paths = ["/a", "/b"]
expired_certificates = "reject"
pcr_bank = "sha384"
pcrs = [0, 7]
challenge_timeout = "45s"
approval_per_address = 3
approval_total = 9
approval_ttl = "10m"
suspect_grace = "2h"
reattest_interval = "20m"
[attestation.join_token]
enabled = false
[attestation.x509pop]
ca_bundle_files = ["/ca.pem"]
`);
  assert.deepEqual(attestation, {
    tpm: {
      enrol: 'any-genuine',
      anyGenuineAlgorithm: 'p384',
      vendorAnchors: false,
      anchorPaths: ['/a', '/b'],
      expiredCertificates: 'reject',
      pcrBank: 'sha384',
      pcrs: [0, 7],
      challengeTimeout: 45,
      approval: { perAddress: 3, total: 9, ttl: 600 },
      suspectGrace: 7200,
      reattestInterval: 1200,
    },
    x509pop: { caBundleFiles: ['/ca.pem'] },
  });
  assert.equal(server('[attestation.tpm]\nenabled = false\n').attestation.tpm, undefined);
});

test('paths follow data_dir unless they are written', () => {
  const moved = server('data_dir = "/srv/tm"\n');
  assert.deepEqual(moved.keyManager, { type: 'disk', path: '/srv/tm/keys.json' });
  assert.deepEqual(moved.datastore, { type: 'level', path: '/srv/tm/store' });
  assert.deepEqual(server('[key_manager]\ntype = "memory"\n').keyManager, { type: 'memory' });
  assert.equal(server('[datastore]\npath = "/elsewhere"\n').datastore.path, '/elsewhere');
});

test('rate limits can be lifted and changed', () => {
  assert.equal(server('[rate_limits]\nenabled = false\n').rateLimits, undefined);
  assert.equal(server('[rate_limits]\nsign = 7\n').rateLimits?.sign, 7);
});

test('an SVID may last a sixth of its authority, and not a second more', () => {
  assert.equal(server('[ca]\nttl = "6h"\n').svid.x509Ttl, 3600);
  const short = '[ca]\nttl = "5h59m59s"\n';
  const most = Math.floor((6 * 3600 - 1) / 6);
  assert.deepEqual(
    problems(short).map((line) => line.split(': ')[1]),
    ['svid.x509_ttl', 'svid.agent_ttl'],
  );
  assert.match(
    problems(short)[0] ?? '',
    new RegExp(`3600 s is more than a sixth of ca\\.ttl \\(${most} s\\)`),
  );
});

test('every way in which an agent attests is read', () => {
  assert.deepEqual(agent('[attestation]\ntype = "join_token"\njoin_token_file = "/t"\n').attestation, {
    type: 'join_token',
    tokenFile: '/t',
  });
  const pop = 'type = "x509pop"\ncertificate_file = "/c"\nkey_file = "/k"\n';
  assert.deepEqual(agent(`[attestation]\n${pop}`).attestation, {
    type: 'x509pop',
    certificateFile: '/c',
    keyFile: '/k',
  });
  const tpm = 'tcti = "swtpm:path=/s"\nendorsement_auth_file = "auth"\nak_generation = 2\n';
  assert.deepEqual(agent(`[attestation]\n${tpm}`).attestation, {
    type: 'tpm',
    tcti: 'swtpm:path=/s',
    endorsementAuthFile: 'auth',
    akGeneration: 2,
  });
  const bare = loadAgentConfig(
    'a',
    'trust_domain = "a"\nserver_address = "s"\n[attestation]\ntype = "x509pop"\n',
  );
  assert.deepEqual(
    bare.problems.map(({ message }) => message.split(':')[0]),
    ['attestation.certificate_file', 'attestation.key_file'],
  );
});

test('workload attestors are switched one by one', () => {
  const config = agent(
    '[workload_attestors.unix]\nsha256 = true\n[workload_attestors.systemd]\nenabled = false\n',
  );
  assert.deepEqual(config.workloadAttestors, {
    unix: { path: false, sha256: true, sizeLimit: 268_435_456 },
  });
});

test('a missing file is one sentence with a remedy', () => {
  assert.throws(() => readConfigFile('/nonexistent/server.toml'), {
    code: 'config_unreadable',
    message: /^cannot read \/nonexistent\/server\.toml: ENOENT/,
  });
});
