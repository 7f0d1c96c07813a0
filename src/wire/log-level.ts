import type { LogLevel as Level } from '../log.js';
import { LogLevel } from './gen/spire/types_pb.js';

/** Our levels as spire.api.types.LogLevel. */
export const logLevelToWire: Readonly<Record<Level, LogLevel>> = {
  trace: LogLevel.TRACE,
  debug: LogLevel.DEBUG,
  info: LogLevel.INFO,
  warn: LogLevel.WARN,
  error: LogLevel.ERROR,
};

/** SPIRE's two levels above error mean the same here: nothing below an error is written. */
const fromWire: ReadonlyMap<number, Level> = new Map([
  ...Object.entries(logLevelToWire).map(([level, number]) => [number, level as Level] as const),
  [LogLevel.PANIC, 'error'],
  [LogLevel.FATAL, 'error'],
]);

/** undefined for a number that is no level. */
export function logLevelFromWire(level: number): Level | undefined {
  return fromWire.get(level);
}
