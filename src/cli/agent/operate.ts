import { TouchmarkError } from '../../errors.js';
import { createRpcClient } from '../../rpc/client.js';
import { Health, HealthCheckResponse_ServingStatus as Serving } from '../../wire/gen/grpc/health_pb.js';
import { Debug, GetInfoResponseSchema } from '../../wire/gen/spire/agent/debug_pb.js';
import { Logger } from '../../wire/gen/spire/agent/logger_pb.js';
import { levelOf, levelWords, loggerResult } from '../log-levels.js';
import { fields } from '../output.js';
import type { Verb, VerbContext } from '../verb.js';
import { json } from '../wire-json.js';
import { adminFlags, withAgent, workloadFlags, workloadSocket } from './connect.js';

const health: Verb = {
  name: 'healthcheck',
  summary: 'Ask whether the agent serves workloads; exit 0 or 1.',
  example: 'touchmark-agent healthcheck',
  flags: [
    { name: 'shallow', type: 'boolean', doc: 'Accepted for SPIRE’s sake; there is one kind of check.' },
    { name: 'verbose', type: 'boolean', doc: 'Say which socket was asked.' },
    ...workloadFlags,
  ],
  run: (context) =>
    withAgent(workloadSocket(context), async (channel) => {
      if (context.flags.boolean('verbose')) context.out.note(`asking ${workloadSocket(context)}`);
      const { status } = await createRpcClient(Health, channel).check({ service: '' });
      if (status !== Serving.SERVING) throw new TouchmarkError('not_serving', 'the agent is not serving yet');
      context.out.result({ pretty: 'Agent is healthy.', json: { status: 'SERVING' } });
      return 0;
    }),
};

const info: Verb = {
  name: 'debug getinfo',
  summary: 'Show what the agent holds.',
  example: 'sudo touchmark-agent debug getinfo',
  flags: adminFlags,
  run: (context) =>
    withAgent(context.flags.string('adminSocketPath'), async (channel) => {
      const response = await createRpcClient(Debug, channel).getInfo({});
      context.out.result({
        pretty: fields([
          ['Uptime', `${response.uptime} s`],
          ['X.509-SVIDs', String(response.cachedX509SvidsCount)],
          ['Last word from the server', new Date(Number(response.lastSyncSuccess) * 1000).toISOString()],
        ]),
        json: json(GetInfoResponseSchema, response),
      });
      return 0;
    }),
};

function loggerVerb(word: 'get' | 'set' | 'reset', summary: string): Verb {
  const level = {
    name: 'level',
    type: 'string',
    doc: 'The level.',
    required: true,
    choices: levelWords,
  } as const;
  const example = `sudo touchmark-agent logger ${word}${word === 'set' ? ' -level debug' : ''}`;
  const ask = (context: VerbContext) =>
    withAgent(context.flags.string('adminSocketPath'), async (channel) => {
      const logger = createRpcClient(Logger, channel);
      if (word === 'get') return logger.getLogger({});
      if (word === 'reset') return logger.resetLogLevel({});
      return logger.setLogLevel({ newLevel: levelOf(context.flags.string('level')) });
    });
  return {
    name: `logger ${word}`,
    summary,
    example,
    flags: [...(word === 'set' ? [level] : []), ...adminFlags],
    run: async (context) => {
      context.out.result(loggerResult(await ask(context)));
      return 0;
    },
  };
}

export const operateVerbs: readonly Verb[] = [
  health,
  info,
  loggerVerb('get', 'Show the log level.'),
  loggerVerb('set', 'Change the log level until the next start.'),
  loggerVerb('reset', 'Go back to the log level of the start.'),
];
