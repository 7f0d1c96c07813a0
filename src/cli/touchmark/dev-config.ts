import { join } from 'node:path';

/** Where everything of a throw-away trust domain lies. Paths are short: a socket's path has at most 107 bytes. */
export interface DevLayout {
  readonly directory: string;
  readonly trustDomain: string;
  readonly serverPort: number;
  readonly rateLimits: boolean;
  readonly serverSocket: string;
  readonly workloadSocket: string;
  readonly adminSocket: string;
  readonly serverConfig: string;
  readonly agentConfig: string;
  readonly bootstrap: string;
  readonly tokenFile: string;
  readonly anchors: string;
}

export function devLayout(
  directory: string,
  options: { trustDomain: string; serverPort: number; rateLimits: boolean },
): DevLayout {
  return {
    ...options,
    directory,
    serverSocket: join(directory, 'server.sock'),
    workloadSocket: join(directory, 'workload.sock'),
    adminSocket: join(directory, 'admin.sock'),
    serverConfig: join(directory, 'server.toml'),
    agentConfig: join(directory, 'agent.toml'),
    bootstrap: join(directory, 'bootstrap.pem'),
    tokenFile: join(directory, 'join-token'),
    anchors: join(directory, 'anchors.pem'),
  };
}

/** The chip's own authority is the only anchor, so that "any genuine chip" means this one. */
export function serverToml(layout: DevLayout, tpm: boolean): string {
  const quoted = JSON.stringify;
  return `trust_domain = ${quoted(layout.trustDomain)}
data_dir = ${quoted(join(layout.directory, 'server'))}
socket_path = ${quoted(layout.serverSocket)}
bind_address = "127.0.0.1"
bind_port = ${layout.serverPort}

[key_manager]
type = "memory"

[rate_limits]
enabled = ${layout.rateLimits}

[attestation.tpm]
enabled = ${tpm}
enrol = "any-genuine"
vendor_anchors = false
anchor_paths = ${tpm ? `[${quoted(layout.anchors)}]` : '[]'}
`;
}

/** How the agent reaches the chip, and the logs that agree with it. */
export interface DevMachine {
  readonly tcti: string;
  readonly securityfs: string;
  readonly userspaceLog: string;
}

/** @param machine absent: the agent joins by token */
export function agentToml(layout: DevLayout, machine: DevMachine | undefined): string {
  const quoted = JSON.stringify;
  const attestation = machine
    ? `type = "tpm"\ntcti = ${quoted(machine.tcti)}`
    : `type = "join_token"\njoin_token_file = ${quoted(layout.tokenFile)}`;
  const measurement = machine
    ? `[measurement]\nsecurityfs = ${quoted(machine.securityfs)}\nuserspace_log = ${quoted(machine.userspaceLog)}\n`
    : '';
  return `trust_domain = ${quoted(layout.trustDomain)}
data_dir = ${quoted(join(layout.directory, 'agent'))}
server_address = "127.0.0.1"
server_port = ${layout.serverPort}
socket_path = ${quoted(layout.workloadSocket)}
admin_socket_path = ${quoted(layout.adminSocket)}
trust_bundle_file = ${quoted(layout.bootstrap)}

[attestation]
${attestation}

[workload_attestors.unix]
path = true
sha256 = true

[workload_attestors.binary]
enabled = true

${measurement}`;
}
