import { configOrThrow, loadAgentConfig, readConfigFile } from '../../config/load.js';
import { formatProblem } from '../../config/problem.js';
import { configFlags, type KeyFlag, overridesOf } from '../daemon-flags.js';
import { daemonLog } from '../daemon-log.js';
import type { Verb, VerbContext } from '../verb.js';

const DEFAULT_CONFIG = '/etc/touchmark/agent.toml';

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

function load({ flags, environment }: VerbContext) {
  const file = flags.string('config');
  return loadAgentConfig(file, readConfigFile(file), {
    overrides: overridesOf(keyFlags, flags),
    ...(flags.boolean('expandEnv') ? { environment } : {}),
  });
}

const run: Verb = {
  name: 'run',
  summary: 'Run the agent.',
  example: 'touchmark-agent run -config /etc/touchmark/agent.toml',
  flags: [...configFlags(DEFAULT_CONFIG), ...keyFlags],
  refused,
  run: async (context) => {
    const config = configOrThrow(load(context));
    const log = daemonLog(config.log, context.environment);
    // Loaded only here: the other verbs start twice as fast without the daemon.
    const { runAgent } = await import('../../agent/main.js');
    await runAgent(config, { log, signal: context.signal, agentVersion: context.version });
    return 0;
  },
};

const validate: Verb = {
  name: 'validate',
  summary: 'Check a configuration file and print every problem.',
  example: 'touchmark-agent validate -config agent.toml',
  flags: [...configFlags(DEFAULT_CONFIG), ...keyFlags],
  refused,
  run: async (context) => {
    const { problems } = load(context);
    const lines = problems.map(formatProblem);
    const good = `${context.flags.string('config')}: good`;
    context.out.result({ pretty: lines.length > 0 ? lines.join('\n') : good, json: { problems } });
    return problems.length > 0 ? 1 : 0;
  },
};

export const daemonVerbs: readonly Verb[] = [run, validate];
