import { systemClock } from '../../clock.js';
import { loadServerConfig } from '../../config/load.js';
import type { KeyFlag } from '../daemon-flags.js';
import { daemonVerbsOf } from '../daemon-verbs.js';

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

export const daemonVerbs = daemonVerbsOf({
  name: 'server',
  keyFlags,
  refused,
  load: loadServerConfig,
  async run(config, log, { signal }) {
    const { runServer } = await import('../../server/main.js');
    await runServer(config, { log, clock: systemClock, signal });
  },
});
