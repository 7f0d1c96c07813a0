import { create } from '@bufbuild/protobuf';
import { TouchmarkError } from '../../errors.js';
import type { Logger as Log } from '../../log.js';
import type { Logger } from '../../wire/gen/spire/server/logger_pb.js';
import { LoggerSchema } from '../../wire/gen/spire/types_pb.js';
import { logLevelFromWire, logLevelToWire } from '../../wire/log-level.js';
import type { ApiService } from './service.js';

/** The level of the log while the server runs; it starts with the configured one again. */
export function loggerService(log: Log): ApiService<typeof Logger> {
  const launch = log.level;
  const answer = () =>
    create(LoggerSchema, { currentLevel: logLevelToWire[log.level], launchLevel: logLevelToWire[launch] });
  return {
    getLogger: async () => answer(),
    setLogLevel: async (request, call) => {
      const level = logLevelFromWire(request.newLevel);
      if (level === undefined) {
        throw new TouchmarkError('argument_invalid', `new_level: ${request.newLevel} is no level of logging`);
      }
      log.level = level;
      call.audit({ level });
      return answer();
    },
    resetLogLevel: async (_, call) => {
      log.level = launch;
      call.audit({ level: launch });
      return answer();
    },
  };
}
