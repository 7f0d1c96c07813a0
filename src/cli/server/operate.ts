import { TouchmarkError } from '../../errors.js';
import { HealthCheckResponse_ServingStatus as Serving } from '../../wire/gen/grpc/health_pb.js';
import { GetInfoResponseSchema } from '../../wire/gen/spire/server/debug_pb.js';
import type { Logger } from '../../wire/gen/spire/types_pb.js';
import { levelOf, levelWords, loggerResult } from '../log-levels.js';
import { fields } from '../output.js';
import type { Verb, VerbContext } from '../verb.js';
import { idText, json, serverFlags, timeText, withServer } from './connect.js';

const health: Verb = {
  name: 'healthcheck',
  summary: 'Ask whether the server serves; exit 0 or 1.',
  example: 'touchmark-server healthcheck -verbose',
  flags: [
    { name: 'shallow', type: 'boolean', doc: 'Accepted for SPIRE’s sake; there is one kind of check.' },
    { name: 'verbose', type: 'boolean', doc: 'Say which socket was asked.' },
    ...serverFlags,
  ],
  run: (context) =>
    withServer(context, async (api) => {
      if (context.flags.boolean('verbose')) context.out.note(`asking ${context.flags.string('socketPath')}`);
      const { status } = await api.health.check({ service: '' });
      if (status !== Serving.SERVING) throw new TouchmarkError('not_serving', 'the server is not serving');
      context.out.result({ pretty: 'Server is healthy.', json: { status: 'SERVING' } });
      return 0;
    }),
};

const info: Verb = {
  name: 'debug getinfo',
  summary: 'Show what the server holds.',
  example: 'touchmark-server debug getinfo',
  flags: serverFlags,
  run: (context) =>
    withServer(context, async (api) => {
      const response = await api.debug.getInfo({});
      const rows: [string, string][] = [
        ['Uptime', `${response.uptime} s`],
        ['Agents', String(response.agentsCount)],
        ['Entries', String(response.entriesCount)],
        ['Federated bundles', String(response.federatedBundlesCount)],
        ...response.svidChain.map((row): [string, string] => [
          'SVID',
          `${idText(row.id)} until ${timeText(row.expiresAt)}`,
        ]),
      ];
      context.out.result({ pretty: fields(rows), json: json(GetInfoResponseSchema, response) });
      return 0;
    }),
};

function showLogger({ out }: VerbContext, logger: Logger): number {
  out.result(loggerResult(logger));
  return 0;
}

const loggerGet: Verb = {
  name: 'logger get',
  summary: 'Show the log level.',
  example: 'touchmark-server logger get',
  flags: serverFlags,
  run: (context) => withServer(context, async (api) => showLogger(context, await api.logger.getLogger({}))),
};

const loggerSet: Verb = {
  name: 'logger set',
  summary: 'Change the log level until the next start.',
  example: 'touchmark-server logger set -level debug',
  flags: [
    { name: 'level', type: 'string', doc: 'The level.', required: true, choices: levelWords },
    ...serverFlags,
  ],
  run: (context) =>
    withServer(context, async (api) => {
      const newLevel = levelOf(context.flags.string('level'));
      return showLogger(context, await api.logger.setLogLevel({ newLevel }));
    }),
};

const loggerReset: Verb = {
  name: 'logger reset',
  summary: 'Go back to the log level of the start.',
  example: 'touchmark-server logger reset',
  flags: serverFlags,
  run: (context) =>
    withServer(context, async (api) => showLogger(context, await api.logger.resetLogLevel({}))),
};

export const operateVerbs: readonly Verb[] = [health, info, loggerGet, loggerSet, loggerReset];
