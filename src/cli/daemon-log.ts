import { systemClock } from '../clock.js';
import { createLogger, type Logger, type LogLevel } from '../log.js';

/** The log of a daemon: stderr, with the journal's priorities when the journal reads it. */
export function daemonLog(
  { level, format }: { level: LogLevel; format: 'json' | 'text' },
  environment: Readonly<Record<string, string | undefined>>,
): Logger {
  const journal = environment['JOURNAL_STREAM'] !== undefined && format === 'text';
  const write = (line: string) => process.stderr.write(line);
  return createLogger({ format, write, clock: systemClock, journal }, level);
}
