import { systemClock } from '../../clock.js';
import { configOrThrow, loadServerConfig, readConfigFile } from '../../config/load.js';
import { formatProblem } from '../../config/problem.js';
import { configFlags, type KeyFlag, overridesOf } from '../daemon-flags.js';
import { daemonLog } from '../daemon-log.js';
import type { Verb, VerbContext } from '../verb.js';

const DEFAULT_CONFIG = '/etc/touchmark/server.toml';

/** SPIRE's flags, each for a key of the file. */
const keyFlags: readonly KeyFlag[] = [
  { name: 'trustDomain', key: 'trust_domain', type: 'string', doc: 'Instead of trust_domain.' },
  { name: 'dataDir', key: 'data_dir', type: 'string', doc: 'Instead of data_dir.' },
  { name: 'bindAddress', key: 'bind_address', type: 'string', doc: 'Instead of bind_address.' },
  { name: 'serverPort', key: 'bind_port', type: 'integer', doc: 'Instead of bind_port.' },
  { name: 'socketPath', key: 'socket_path', type: 'string', doc: 'Instead of socket_path.' },
  { name: 'logLevel', key: 'log.level', type: 'string', doc: 'Instead of log.level.' },
  { name: 'logFormat', key: 'log.format', type: 'string', doc: 'Instead of log.format.' },
];

/** SPIRE's flags that have no place here, and what to do instead. */
const refused: Readonly<Record<string, string>> = {
  logFile: 'the log goes to standard error, where the service manager keeps it',
};

function load({ flags, environment }: VerbContext) {
  const file = flags.string('config');
  return loadServerConfig(file, readConfigFile(file), {
    overrides: overridesOf(keyFlags, flags),
    ...(flags.boolean('expandEnv') ? { environment } : {}),
  });
}

const run: Verb = {
  name: 'run',
  summary: 'Run the server.',
  example: 'touchmark-server run -config /etc/touchmark/server.toml',
  flags: [...configFlags(DEFAULT_CONFIG), ...keyFlags],
  refused,
  run: async (context) => {
    const config = configOrThrow(load(context));
    const log = daemonLog(config.log, context.environment);
    // Loaded only here: the other verbs start twice as fast without the daemon.
    const { runServer } = await import('../../server/main.js');
    await runServer(config, { log, clock: systemClock, signal: context.signal });
    return 0;
  },
};

const validate: Verb = {
  name: 'validate',
  summary: 'Check a configuration file and print every problem.',
  example: 'touchmark-server validate -config server.toml',
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
