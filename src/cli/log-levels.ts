import { type Logger, LoggerSchema, type LogLevel } from '../wire/gen/spire/types_pb.js';
import { fields } from './output.js';
import { json } from './wire-json.js';

/** In the order of spire.api.types.LogLevel, from 1. */
export const levelWords = ['panic', 'fatal', 'error', 'warn', 'info', 'debug', 'trace'] as const;

export function levelOf(word: string): LogLevel {
  return (levelWords.indexOf(word as (typeof levelWords)[number]) + 1) as LogLevel;
}

export function loggerResult(logger: Logger): { pretty: string; json: unknown } {
  const name = (level: LogLevel) => levelWords[level - 1] ?? 'unspecified';
  return {
    pretty: fields([
      ['Logger level', name(logger.currentLevel)],
      ['Launch level', name(logger.launchLevel)],
    ]),
    json: json(LoggerSchema, logger),
  };
}
