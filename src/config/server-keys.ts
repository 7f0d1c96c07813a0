import { type Key, key } from './check.js';

const caKeys = ['ec-p256', 'ec-p384', 'rsa-2048', 'rsa-4096'];

/** Every key of server.toml. The checker, `--help` and server.conf(5) are made from this table. */
export const serverKeys: readonly Key[] = [
  key(
    'trust_domain',
    'string',
    'Name of the trust domain, for example `example.org`. Every identity begins with it.',
    { required: true },
  ),
  key('data_dir', 'path', 'Directory for the datastore and the keys. Only one server at a time may use it.', {
    default: '/var/lib/touchmark/server',
  }),
  key('socket_path', 'path', "The operators' Unix socket.", { default: '/run/touchmark/server/api.sock' }),
  key('bind_address', 'string', 'Address on which agents and administrators connect by TLS.', {
    default: '0.0.0.0',
  }),
  key('bind_port', 'integer', 'Port for the same. 0 lets the system choose one.', {
    default: 8081,
    max: 65535,
  }),
  key(
    'page_address',
    'string',
    "Where operators look at the fleet with a browser: `unix:PATH`, `HOST:PORT`, or `off`. A loopback address serves everybody on this machine; any other is served over TLS to operators' SVIDs only. docs/measurement.md says how a browser gets there. Default: `page.sock` beside the operators' socket.",
    { default: '' },
  ),
  key('bundle_refresh_hint', 'duration', 'How often partners should fetch the bundle of this trust domain.', {
    default: '5m',
  }),
  key(
    'weak_selectors',
    'string',
    'What to do with entries that name only a path or a digest: anybody on the host may run that file.',
    { default: 'warn', choices: ['warn', 'refuse'] },
  ),
  key('audit_log', 'boolean', 'Write one line for every call.', { default: true }),
  key('log.level', 'string', 'Lowest level that is written. `logger set` changes it while running.', {
    default: 'info',
    choices: ['trace', 'debug', 'info', 'warn', 'error'],
  }),
  key('log.format', 'string', 'Form of the log lines.', { default: 'text', choices: ['text', 'json'] }),
  key('ca.key_type', 'string', 'Kind of the X.509 authority keys.', { default: 'ec-p256', choices: caKeys }),
  key(
    'ca.ttl',
    'duration',
    'Life of an X.509 authority and of a JWT signing key. The next one is prepared at half of it and used from five sixths on.',
    { default: '24h', min: 10 },
  ),
  key('ca.subject.country', 'string', 'Country in the authority certificates.', { default: 'US' }),
  key('ca.subject.organization', 'string', 'Organization in the authority certificates.', {
    default: 'Touchmark',
  }),
  key('ca.subject.common_name', 'string', 'Common name in the authority certificates.', { default: '' }),
  key('jwt.issuer', 'string', 'The `iss` claim of JWT-SVIDs. Empty leaves it out.', { default: '' }),
  key('jwt.key_type', 'string', 'Kind of the JWT signing keys.', { default: 'ec-p256', choices: caKeys }),
  key(
    'svid.x509_ttl',
    'duration',
    'Life of a workload X.509-SVID whose entry says nothing. At most a sixth of `ca.ttl`.',
    { default: '1h' },
  ),
  key('svid.jwt_ttl', 'duration', 'Life of a JWT-SVID whose entry says nothing.', { default: '5m' }),
  key('svid.agent_ttl', 'duration', "Life of an agent's own SVID.", { default: '1h' }),
  key(
    'key_manager.type',
    'string',
    'Where the authority keys are kept. `memory` makes new authorities at each start.',
    { default: 'disk', choices: ['disk', 'memory'] },
  ),
  key('key_manager.path', 'path', 'File of the `disk` key manager. Empty: `keys.json` in `data_dir`.', {
    default: '',
  }),
  key('datastore.type', 'string', 'Where entries, hosts and authorities are remembered.', {
    default: 'level',
    choices: ['level'],
  }),
  key('datastore.path', 'path', 'Directory of the `level` datastore. Empty: `store` in `data_dir`.', {
    default: '',
  }),
  key(
    'upstream_authority.type',
    'string',
    "Sign this server's authority with one above it. Absent: self-signed.",
    { choices: ['disk'] },
  ),
  key(
    'upstream_authority.cert_file',
    'path',
    'PEM certificate of the upstream authority, with its intermediates.',
  ),
  key('upstream_authority.key_file', 'path', 'PEM private key of the upstream authority.'),
  key(
    'upstream_authority.bundle_file',
    'path',
    'PEM roots to publish, when the certificate is not itself a root.',
    { default: '' },
  ),
  key('attestation.tpm.enabled', 'boolean', 'Let hosts prove themselves by their TPM.', { default: true }),
  key(
    'attestation.tpm.enrol',
    'string',
    'What happens to a genuine chip that nobody has allowed yet: it waits for `host approve`, it is refused, or it is let in. A genuine chip is not yet your chip: `any-genuine` lets in everybody who buys one.',
    { default: 'approval', choices: ['approval', 'allow-list', 'any-genuine'] },
  ),
  key(
    'attestation.tpm.any_genuine_algorithm',
    'string',
    'The one kind of endorsement key that `any-genuine` accepts, so that one chip cannot be two hosts.',
    { default: 'rsa2048', choices: ['rsa2048', 'p256', 'p384'] },
  ),
  key(
    'attestation.tpm.vendor_anchors',
    'boolean',
    'Trust the TPM vendors whose root certificates ship with Touchmark.',
    { default: true },
  ),
  key(
    'attestation.tpm.anchor_paths',
    'strings',
    'PEM files, or directories of them, with further roots and intermediates of TPM vendors.',
    { default: [] },
  ),
  key(
    'attestation.tpm.expired_certificates',
    'string',
    'What to do with an endorsement certificate that has run out. The key in the chip does not age.',
    { default: 'warn', choices: ['accept', 'warn', 'reject'] },
  ),
  key('attestation.tpm.pcr_bank', 'string', 'Bank that is quoted.', {
    default: 'sha256',
    choices: ['sha256', 'sha384'],
  }),
  key('attestation.tpm.pcrs', 'integers', 'Registers that are quoted.', {
    default: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
  }),
  key('attestation.tpm.challenge_timeout', 'duration', 'How long a chip may take to answer a challenge.', {
    default: '30s',
    max: 600,
  }),
  key(
    'attestation.tpm.approval_per_address',
    'integer',
    'How many hosts of one address may wait for approval.',
    { default: 8, min: 1, max: 10_000 },
  ),
  key('attestation.tpm.approval_total', 'integer', 'How many hosts may wait for approval in all.', {
    default: 1024,
    min: 1,
    max: 1_000_000,
  }),
  key(
    'attestation.tpm.approval_ttl',
    'duration',
    'How long a host waits for approval before it is forgotten.',
    { default: '24h' },
  ),
  key('attestation.tpm.suspect_grace', 'duration', 'How long a suspect host keeps getting new SVIDs.', {
    default: '5m',
    min: 0,
  }),
  key('attestation.tpm.reattest_interval', 'duration', 'How often a host proves itself anew.', {
    default: '30m',
    min: 10,
  }),
  key(
    'attestation.join_token.enabled',
    'boolean',
    'Let hosts without a TPM join by a one-time token. Never called hardware-rooted.',
    { default: true },
  ),
  key(
    'attestation.x509pop.ca_bundle_files',
    'strings',
    'PEM authorities whose certificates let a host join by proof of possession. Empty refuses this way.',
    { default: [] },
  ),
  key(
    'deny.lifetime',
    'duration',
    'How long a relying party may go by one deny feed or CRL. A new one is signed at half of it, and at every withdrawal.',
    { default: '24h', min: 60 },
  ),
  key(
    'web.bind_port',
    'integer',
    'Port on which relying parties fetch the deny feed and the CRLs over HTTPS. Absent: not served. 0 lets the system choose one.',
    { max: 65535 },
  ),
  key('web.bind_address', 'string', 'Address for the same.', { default: '0.0.0.0' }),
  key(
    'web.cert_file',
    'path',
    'PEM chain, leaf first, that is shown there; read again when it changes. Empty: the X.509-SVID of the server.',
    { default: '' },
  ),
  key('web.key_file', 'path', 'PEM private key of `web.cert_file`.', { default: '' }),
  key(
    'measurement.tick_interval',
    'duration',
    'How often a host is asked for evidence on its session. After two of these without an answer it is stale, where a policy is enforced.',
    { default: '30s', min: 5, max: 3600 },
  ),
  key(
    'measurement.keep_evidence',
    'duration',
    'How long evidence is kept. The newest of each host always is.',
    { default: '30d', min: 3600 },
  ),
  key(
    'measurement.blast_radius',
    'integer',
    'Percent of the good hosts whose trust the publication of a policy, a reference set or a group may take. More is held, until somebody says that it is meant.',
    { default: 10, max: 100 },
  ),
  key('administrator.*.spiffe_id', 'string', 'A SPIFFE ID that has the role.'),
  key(
    'administrator.*.uid',
    'integer',
    'A Unix user on the operators’ socket that has the role. Root and the server’s own user are always `admin`.',
    { max: 4_294_967_294 },
  ),
  key(
    'administrator.*.role',
    'string',
    'What it may do: read; also approve and deny hosts; also publish policies; everything.',
    { choices: ['viewer', 'approver', 'policy-author', 'admin'] },
  ),
  key(
    'record.keep',
    'duration',
    'How long the record of events keeps them, in whole segments of 8 MiB. 0 keeps them for ever.',
    { default: '0s', min: 0 },
  ),
  key(
    'rate_limits.enabled',
    'boolean',
    'Limit what one address may ask for. The Unix socket is never limited.',
    { default: true },
  ),
  key('rate_limits.attest', 'integer', 'Attestations a second and address.', { default: 1, min: 1 }),
  key('rate_limits.sign', 'integer', 'SVIDs a second and address.', { default: 500, min: 1 }),
  key('rate_limits.post_status', 'integer', 'Status messages a second and address.', { default: 10, min: 1 }),
];
