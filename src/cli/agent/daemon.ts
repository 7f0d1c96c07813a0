import { loadAgentConfig } from '../../config/load.js';
import type { KeyFlag } from '../daemon-flags.js';
import { daemonVerbsOf } from '../daemon-verbs.js';

/** SPIRE's flags, each for a key of the file. A join token is a secret and has no flag: name its file. */
const keyFlags: readonly KeyFlag[] = [
  { name: 'trustDomain', key: 'trust_domain', type: 'string', doc: 'Instead of trust_domain.' },
  { name: 'dataDir', key: 'data_dir', type: 'string', doc: 'Instead of data_dir.' },
  { name: 'serverAddress', key: 'server_address', type: 'string', doc: 'Instead of server_address.' },
  { name: 'serverPort', key: 'server_port', type: 'integer', doc: 'Instead of server_port.' },
  { name: 'socketPath', key: 'socket_path', type: 'string', doc: 'Instead of socket_path.' },
  { name: 'trustBundle', key: 'trust_bundle_file', type: 'string', doc: 'Instead of trust_bundle_file.' },
  {
    name: 'joinTokenFile',
    key: 'attestation.join_token_file',
    type: 'string',
    doc: 'Instead of attestation.join_token_file.',
  },
  {
    name: 'insecureBootstrap',
    key: 'insecure_bootstrap',
    type: 'boolean',
    doc: 'Instead of insecure_bootstrap.',
  },
  {
    name: 'allowUnauthenticatedVerifiers',
    key: 'allow_unauthenticated_verifiers',
    type: 'boolean',
    doc: 'Instead of allow_unauthenticated_verifiers.',
  },
  { name: 'logLevel', key: 'log.level', type: 'string', doc: 'Instead of log.level.' },
  { name: 'logFormat', key: 'log.format', type: 'string', doc: 'Instead of log.format.' },
];

/** SPIRE's flags that have no place here, and what to do instead. */
const refused: Readonly<Record<string, string>> = {
  joinToken:
    'others could read a secret on a command line: write the token to a file and give -joinTokenFile',
  logFile: 'the log goes to standard error, where the service manager keeps it',
  trustBundleUrl: 'fetch the bundle by means that you trust and give -trustBundle',
  trustBundleFormat: 'the form of -trustBundle is recognised by itself',
};

export const daemonVerbs = daemonVerbsOf({
  name: 'agent',
  keyFlags,
  refused,
  load: loadAgentConfig,
  async run(config, log, { signal, version }) {
    const { runAgent } = await import('../../agent/main.js');
    await runAgent(config, { log, signal, agentVersion: version });
  },
});
