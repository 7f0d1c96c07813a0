import { dirname, join } from 'node:path';
import { parseSpiffeId, type TrustDomain, trustDomainFromOperator } from '../spiffe/id.js';
import type { Values } from './check.js';
import type { Administrator, PageConfig, Role, ServerConfig, TpmAttestationConfig } from './server-config.js';

/** Names a key and what is wrong with it, where one key's value alone could not show it. */
export type Complain = (path: string, message: string) => void;

/** Puts checked values into their places; rules that span several keys are complained of. */
export function buildServerConfig(values: Values, complain: Complain): ServerConfig {
  checkLifetimes(values, complain);
  const upstreamAuthority = buildUpstream(values, complain);
  const page = buildPage(values, complain);
  const web = buildWeb(values, complain);
  return {
    trustDomain: buildTrustDomain(values, complain),
    dataDir: values.string('data_dir'),
    socketPath: values.string('socket_path'),
    bindAddress: values.string('bind_address'),
    bindPort: values.number('bind_port'),
    log: buildLog(values),
    audit: values.boolean('audit_log'),
    ca: {
      keyType: values.string('ca.key_type') as ServerConfig['ca']['keyType'],
      ttl: values.number('ca.ttl'),
      subject: {
        country: values.string('ca.subject.country'),
        organization: values.string('ca.subject.organization'),
        commonName: values.string('ca.subject.common_name'),
      },
    },
    jwt: {
      issuer: values.string('jwt.issuer'),
      keyType: values.string('jwt.key_type') as ServerConfig['jwt']['keyType'],
    },
    svid: {
      x509Ttl: values.number('svid.x509_ttl'),
      jwtTtl: values.number('svid.jwt_ttl'),
      agentTtl: values.number('svid.agent_ttl'),
    },
    bundleRefreshHint: values.number('bundle_refresh_hint'),
    weakSelectors: values.string('weak_selectors') as ServerConfig['weakSelectors'],
    ...buildPlugins(values),
    ...(upstreamAuthority ? { upstreamAuthority } : {}),
    ...(page ? { page } : {}),
    deny: { lifetime: values.number('deny.lifetime') },
    ...(web ? { web } : {}),
    attestation: buildAttestation(values),
    measurement: {
      tickInterval: values.number('measurement.tick_interval'),
      keepEvidence: values.number('measurement.keep_evidence'),
      blastRadius: values.number('measurement.blast_radius'),
    },
    administrators: buildAdministrators(values, complain),
    record: { keep: values.number('record.keep') },
    ...(values.boolean('rate_limits.enabled') ? { rateLimits: buildRateLimits(values) } : {}),
  };
}

function buildPage(values: Values, complain: Complain): PageConfig | undefined {
  const text = values.string('page_address');
  if (text === 'off') return undefined;
  if (text === '') return { kind: 'unix', path: join(dirname(values.string('socket_path')), 'page.sock') };
  if (text.startsWith('unix:/')) return { kind: 'unix', path: text.slice('unix:'.length) };
  const [, host = '', port = ''] = /^(\[[0-9a-f:.]+\]|[^:/\s]+):(\d{1,5})$/i.exec(text) ?? [];
  if (host === '' || Number(port) > 65535) {
    complain('page_address', `${JSON.stringify(text)} is not unix:/PATH, HOST:PORT or off`);
    return undefined;
  }
  const name = host.replace(/^\[|\]$/g, '');
  const local = name === 'localhost' || name === '::1' || /^127(\.\d{1,3}){3}$/.test(name);
  return { kind: local ? 'loopback' : 'tls', host: name, port: Number(port) };
}

export function buildTrustDomain(values: Values, complain: Complain): TrustDomain {
  try {
    return trustDomainFromOperator(values.string('trust_domain'));
  } catch (error) {
    if (values.string('trust_domain') !== '') complain('trust_domain', String((error as Error).message));
    return '' as TrustDomain;
  }
}

export function buildLog(values: Values): ServerConfig['log'] {
  return {
    level: values.string('log.level') as ServerConfig['log']['level'],
    format: values.string('log.format') as ServerConfig['log']['format'],
  };
}

/**
 * An authority signs until five sixths of its life are over, so an SVID may last a sixth of it and no longer;
 * otherwise it would be cut short silently.
 */
function checkLifetimes(values: Values, complain: Complain): void {
  const most = Math.floor(values.number('ca.ttl') / 6);
  for (const path of ['svid.x509_ttl', 'svid.agent_ttl', 'svid.jwt_ttl']) {
    if (values.number(path) <= most) continue;
    complain(
      path,
      `${values.number(path)} s is more than a sixth of ca.ttl (${most} s): lengthen ca.ttl or shorten this`,
    );
  }
}

function buildUpstream(values: Values, complain: Complain): ServerConfig['upstreamAuthority'] {
  const present = ['type', 'cert_file', 'key_file'].some((name) => values.has(`upstream_authority.${name}`));
  if (!present) return undefined;
  for (const name of ['type', 'cert_file', 'key_file']) {
    if (!values.has(`upstream_authority.${name}`))
      complain(`upstream_authority.${name}`, 'this key is required');
  }
  return {
    type: 'disk',
    certFile: values.string('upstream_authority.cert_file'),
    keyFile: values.string('upstream_authority.key_file'),
    bundleFile: values.string('upstream_authority.bundle_file'),
  };
}

function buildWeb(values: Values, complain: Complain): ServerConfig['web'] {
  const [certFile, keyFile] = [values.string('web.cert_file'), values.string('web.key_file')];
  if ((certFile === '') !== (keyFile === '')) {
    complain(certFile === '' ? 'web.cert_file' : 'web.key_file', 'cert_file and key_file belong together');
  }
  if (!values.has('web.bind_port')) return undefined;
  const address = {
    bindAddress: values.string('web.bind_address'),
    bindPort: values.number('web.bind_port'),
  };
  return certFile === '' || keyFile === '' ? address : { ...address, certFile, keyFile };
}

function buildPlugins(values: Values): Pick<ServerConfig, 'keyManager' | 'datastore'> {
  const dataDir = values.string('data_dir');
  const keyPath = values.string('key_manager.path') || join(dataDir, 'keys.json');
  return {
    keyManager:
      values.string('key_manager.type') === 'memory' ? { type: 'memory' } : { type: 'disk', path: keyPath },
    datastore: { type: 'level', path: values.string('datastore.path') || join(dataDir, 'store') },
  };
}

function buildAttestation(values: Values): ServerConfig['attestation'] {
  const caBundleFiles = values.strings('attestation.x509pop.ca_bundle_files');
  return {
    ...(values.boolean('attestation.tpm.enabled') ? { tpm: buildTpm(values) } : {}),
    ...(values.boolean('attestation.join_token.enabled') ? { joinToken: {} } : {}),
    ...(caBundleFiles.length > 0 ? { x509pop: { caBundleFiles } } : {}),
  };
}

function buildTpm(values: Values): TpmAttestationConfig {
  const at = (name: string) => `attestation.tpm.${name}`;
  return {
    enrol: values.string(at('enrol')) as TpmAttestationConfig['enrol'],
    anyGenuineAlgorithm: values.string(
      at('any_genuine_algorithm'),
    ) as TpmAttestationConfig['anyGenuineAlgorithm'],
    vendorAnchors: values.boolean(at('vendor_anchors')),
    anchorPaths: values.strings(at('anchor_paths')),
    expiredCertificates: values.string(
      at('expired_certificates'),
    ) as TpmAttestationConfig['expiredCertificates'],
    pcrBank: values.string(at('pcr_bank')) as TpmAttestationConfig['pcrBank'],
    pcrs: values.numbers(at('pcrs')),
    challengeTimeout: values.number(at('challenge_timeout')),
    approval: {
      perAddress: values.number(at('approval_per_address')),
      total: values.number(at('approval_total')),
      ttl: values.number(at('approval_ttl')),
    },
    suspectGrace: values.number(at('suspect_grace')),
    reattestInterval: values.number(at('reattest_interval')),
  };
}

function buildAdministrators(values: Values, complain: Complain): Administrator[] {
  return Array.from({ length: values.count('administrator') }, (_, index) => {
    const at = (name: string) => `administrator.${index}.${name}`;
    const role = values.string(at('role')) as Role;
    if (!values.has(at('role'))) complain(at('role'), 'this key is required');
    if (values.has(at('spiffe_id')) === values.has(at('uid'))) {
      complain(`administrator.${index}`, 'name either a spiffe_id or a uid');
    }
    if (!values.has(at('spiffe_id'))) return { uid: values.number(at('uid')), role };
    const spiffeId = values.string(at('spiffe_id'));
    try {
      parseSpiffeId(spiffeId);
    } catch (error) {
      complain(at('spiffe_id'), (error as Error).message);
    }
    return { spiffeId, role };
  });
}

function buildRateLimits(values: Values): NonNullable<ServerConfig['rateLimits']> {
  return {
    attest: values.number('rate_limits.attest'),
    sign: values.number('rate_limits.sign'),
    postStatus: values.number('rate_limits.post_status'),
  };
}
