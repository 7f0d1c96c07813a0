import { type Key, key } from './check.js';

/** Every key of agent.toml. The checker, `--help` and agent.conf(5) are made from this table. */
export const agentKeys: readonly Key[] = [
  key('trust_domain', 'string', 'Name of the trust domain, for example `example.org`.', { required: true }),
  key('data_dir', 'path', 'Directory for what the agent keeps between starts.', {
    default: '/var/lib/touchmark/agent',
  }),
  key('server_address', 'string', 'Host name or address of the server.', { required: true }),
  key('server_port', 'integer', 'Port of the server.', { default: 8081, min: 1, max: 65535 }),
  key(
    'socket_path',
    'path',
    'The Workload API socket, open to everybody: callers are told apart by the kernel.',
    { default: '/run/touchmark/agent/public/api.sock' },
  ),
  key('admin_socket_path', 'path', "The operators' socket, for root and the agent's own user. Empty: none.", {
    default: '/run/touchmark/agent/admin/api.sock',
  }),
  key('log.level', 'string', 'Lowest level that is written.', {
    default: 'info',
    choices: ['trace', 'debug', 'info', 'warn', 'error'],
  }),
  key('log.format', 'string', 'Form of the log lines.', { default: 'text', choices: ['text', 'json'] }),
  key(
    'trust_bundle_file',
    'path',
    "The server's authorities, PEM or a SPIFFE bundle document, for the very first contact. Write it with `touchmark-server bundle show`.",
    { default: '' },
  ),
  key('insecure_bootstrap', 'boolean', 'Trust whoever answers the first time. For experiments only.', {
    default: false,
  }),
  key('attestation.type', 'string', 'How this host proves itself.', {
    default: 'tpm',
    choices: ['tpm', 'join_token', 'x509pop'],
  }),
  key(
    'attestation.tcti',
    'string',
    'How the TPM is reached, in the words of tpm2-tss: `device:/dev/tpmrm0`, `swtpm:path=/run/swtpm.sock`.',
    { default: 'device:/dev/tpmrm0' },
  ),
  key(
    'attestation.endorsement_auth_file',
    'path',
    'File, or name of a systemd credential, with the endorsement hierarchy password, where one was set.',
    { default: '' },
  ),
  key('attestation.ak_generation', 'integer', 'Raise it to make the chip derive a new attestation key.', {
    default: 0,
    max: 65_535,
  }),
  key('attestation.join_token_file', 'path', 'File, or name of a systemd credential, with the join token.', {
    default: '',
  }),
  key('attestation.certificate_file', 'path', 'PEM certificate, with intermediates, for `x509pop`.', {
    default: '',
  }),
  key('attestation.key_file', 'path', 'PEM private key, or name of a systemd credential, for `x509pop`.', {
    default: '',
  }),
  key(
    'measurement.securityfs',
    'path',
    'Where the kernel shows the logs of the firmware (`tpm0/`) and of IMA (`ima/`).',
    { default: '/sys/kernel/security' },
  ),
  key('measurement.userspace_log', 'path', 'The log of what systemd measures.', {
    default: '/run/log/systemd/tpm2-measure.log',
  }),
  key('workload_key_type', 'string', 'Kind of the keys of X.509-SVIDs.', {
    default: 'ec-p256',
    choices: ['ec-p256', 'rsa-2048'],
  }),
  key('workload_attestors.unix.enabled', 'boolean', 'Tell workloads apart by user and group.', {
    default: true,
  }),
  key('workload_attestors.unix.path', 'boolean', 'Also by the path of the executable.', { default: false }),
  key('workload_attestors.unix.sha256', 'boolean', "Also by the executable's SHA-256.", { default: false }),
  key('workload_attestors.unix.size_limit', 'integer', 'Largest executable that is hashed, in bytes.', {
    default: 268_435_456,
  }),
  key('workload_attestors.systemd.enabled', 'boolean', 'Tell workloads apart by their systemd unit.', {
    default: true,
  }),
  key(
    'workload_attestors.binary.enabled',
    'boolean',
    "Tell workloads apart by the executable's SHA-256, and by whether the kernel measured it: `binary:sha256`, `binary:measured`.",
    { default: false },
  ),
  key(
    'workload_attestors.binary.verity',
    'boolean',
    'Also by its fs-verity digest, `binary:verity:sha256:...`.',
    { default: false },
  ),
  key('workload_attestors.binary.size_limit', 'integer', 'Largest executable that is hashed, in bytes.', {
    default: 268_435_456,
  }),
  key('allow_unauthenticated_verifiers', 'boolean', 'Give the bundles to callers that have no identity.', {
    default: false,
  }),
  key('limits.connections_per_uid', 'integer', 'How many connections one user may hold.', {
    default: 256,
    min: 1,
  }),
  key('limits.streams_per_uid', 'integer', 'How many streams one user may hold.', { default: 1024, min: 1 }),
  key('limits.jwt_cache', 'integer', 'How many JWT-SVIDs are kept.', { default: 1000, min: 0 }),
];
