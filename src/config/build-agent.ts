import type { AgentConfig } from './agent-config.js';
import { buildLog, buildTrustDomain, type Complain } from './build-server.js';
import type { Values } from './check.js';

/** Puts checked values into their places; rules that span several keys are complained of. */
export function buildAgentConfig(values: Values, complain: Complain): AgentConfig {
  if (values.boolean('insecure_bootstrap') && values.string('trust_bundle_file') !== '') {
    complain('insecure_bootstrap', 'set either this or trust_bundle_file');
  }
  return {
    trustDomain: buildTrustDomain(values, complain),
    dataDir: values.string('data_dir'),
    serverAddress: values.string('server_address'),
    serverPort: values.number('server_port'),
    socketPath: values.string('socket_path'),
    adminSocketPath: values.string('admin_socket_path'),
    log: buildLog(values),
    trustBundleFile: values.string('trust_bundle_file'),
    insecureBootstrap: values.boolean('insecure_bootstrap'),
    attestation: buildAttestation(values, complain),
    measurement: {
      securityfs: values.string('measurement.securityfs'),
      userspaceLog: values.string('measurement.userspace_log'),
    },
    workloadKeyType: values.string('workload_key_type') as AgentConfig['workloadKeyType'],
    workloadAttestors: buildAttestors(values, complain),
    allowUnauthenticatedVerifiers: values.boolean('allow_unauthenticated_verifiers'),
    limits: {
      connectionsPerUid: values.number('limits.connections_per_uid'),
      streamsPerUid: values.number('limits.streams_per_uid'),
      jwtCache: values.number('limits.jwt_cache'),
    },
  };
}

function buildAttestation(values: Values, complain: Complain): AgentConfig['attestation'] {
  const file = (name: string) => {
    const path = `attestation.${name}`;
    if (values.string(path) === '') complain(path, 'this key is required for this attestation.type');
    return values.string(path);
  };
  switch (values.string('attestation.type')) {
    case 'join_token':
      return { type: 'join_token', tokenFile: file('join_token_file') };
    case 'x509pop':
      return { type: 'x509pop', certificateFile: file('certificate_file'), keyFile: file('key_file') };
    default:
      return {
        type: 'tpm',
        tcti: values.string('attestation.tcti'),
        endorsementAuthFile: values.string('attestation.endorsement_auth_file'),
        akGeneration: values.number('attestation.ak_generation'),
      };
  }
}

function buildAttestors(values: Values, complain: Complain): AgentConfig['workloadAttestors'] {
  const at = (name: string) => `workload_attestors.${name}`;
  const unix = values.boolean(at('unix.enabled'));
  const systemd = values.boolean(at('systemd.enabled'));
  const binary = values.boolean(at('binary.enabled'));
  if (!unix && !systemd && !binary)
    complain('workload_attestors', 'enable at least one, or no workload gets an identity');
  return {
    ...(unix
      ? {
          unix: {
            path: values.boolean(at('unix.path')),
            sha256: values.boolean(at('unix.sha256')),
            sizeLimit: values.number(at('unix.size_limit')),
          },
        }
      : {}),
    ...(systemd ? { systemd: {} } : {}),
    ...(binary
      ? {
          binary: {
            verity: values.boolean(at('binary.verity')),
            sizeLimit: values.number(at('binary.size_limit')),
          },
        }
      : {}),
  };
}
