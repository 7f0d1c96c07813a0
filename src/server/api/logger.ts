import { create } from '@bufbuild/protobuf';
import { TouchmarkError } from '../../errors.js';
import type { LogLevel as Level, Logger as Log } from '../../log.js';
import type { Logger } from '../../wire/gen/spire/server/logger_pb.js';
import { LoggerSchema, LogLevel } from '../../wire/gen/spire/types_pb.js';
import type { ApiService } from './service.js';

const toWire: Readonly<Record<Level, LogLevel>> = {
  trace: LogLevel.TRACE,
  debug: LogLevel.DEBUG,
  info: LogLevel.INFO,
  warn: LogLevel.WARN,
  error: LogLevel.ERROR,
};

/** SPIRE's two levels above error mean the same here: nothing below an error is written. */
const fromWire: ReadonlyMap<number, Level> = new Map([
  ...Object.entries(toWire).map(([level, number]) => [number, level as Level] as const),
  [LogLevel.PANIC, 'error'],
  [LogLevel.FATAL, 'error'],
]);

/** The level of the log while the server runs; it starts with the configured one again. */
export function loggerService(log: Log): ApiService<typeof Logger> {
  const launch = log.level;
  const answer = () => create(LoggerSchema, { currentLevel: toWire[log.level], launchLevel: toWire[launch] });
  return {
    getLogger: async () => answer(),
    setLogLevel: async (request, call) => {
      const level = fromWire.get(request.newLevel);
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
