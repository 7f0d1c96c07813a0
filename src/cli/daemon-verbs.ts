import { configOrThrow, type Loaded, type LoadOptions, readConfigFile } from '../config/load.js';
import { formatProblem } from '../config/problem.js';
import type { Logger } from '../log.js';
import { configFlags, type KeyFlag, overridesOf } from './daemon-flags.js';
import { daemonLog } from './daemon-log.js';
import type { Verb, VerbContext } from './verb.js';

export interface Daemon<Config> {
  /** `server` or `agent`: of the command, and of its file. */
  readonly name: string;
  readonly keyFlags: readonly KeyFlag[];
  /** SPIRE's flags that have no place here, and what to do instead. */
  readonly refused: Readonly<Record<string, string>>;
  load(file: string, text: string, options: LoadOptions): Loaded<Config>;
  /** Runs until the context's signal. Loads the daemon itself: the other verbs start twice as fast without it. */
  run(config: Config, log: Logger, context: VerbContext): Promise<void>;
}

/** `run` and `validate`, the same for both daemons. */
export function daemonVerbsOf<Config extends { readonly log: Parameters<typeof daemonLog>[0] }>(
  daemon: Daemon<Config>,
): readonly Verb[] {
  const { name, refused, keyFlags } = daemon;
  const defaultFile = `/etc/touchmark/${name}.toml`;
  const flags = [...configFlags(defaultFile), ...keyFlags];
  return [
    {
      name: 'run',
      summary: `Run the ${name}.`,
      example: `touchmark-${name} run -config ${defaultFile}`,
      flags,
      refused,
      run: async (context) => {
        const config = configOrThrow(load(daemon, context));
        await daemon.run(config, daemonLog(config.log, context.environment), context);
        return 0;
      },
    },
    {
      name: 'validate',
      summary: 'Check a configuration file and print every problem.',
      example: `touchmark-${name} validate -config ${name}.toml`,
      flags,
      refused,
      run: async (context) => validate(load(daemon, context), context),
    },
  ];
}

function load<Config>(daemon: Daemon<Config>, { flags, environment }: VerbContext): Loaded<Config> {
  const file = flags.string('config');
  return daemon.load(file, readConfigFile(file), {
    overrides: overridesOf(daemon.keyFlags, flags),
    ...(flags.boolean('expandEnv') ? { environment } : {}),
  });
}

function validate({ problems }: Loaded<unknown>, { flags, out }: VerbContext): number {
  const lines = problems.map(formatProblem);
  const good = `${flags.string('config')}: good`;
  out.result({ pretty: lines.length > 0 ? lines.join('\n') : good, json: { problems } });
  return problems.length > 0 ? 1 : 0;
}
