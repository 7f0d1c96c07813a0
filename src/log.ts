import type { Clock } from './clock.js';

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof logLevels)[number];
export type LogFields = Readonly<Record<string, unknown>>;

/** Log lines with fields. Fields never hold keys, tokens, SVID bodies or secrets. */
export interface Logger {
  level: LogLevel;
  trace(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A logger that adds these fields to each line; it shares its level with its parent. */
  child(fields: LogFields): Logger;
}

export interface LogSink {
  format: 'json' | 'text';
  /** Writes one whole line, newline included. */
  write(line: string): void;
  clock: Clock;
  /** Prefix lines with the journal's `<n>` priorities. */
  journal: boolean;
}

const journalPriority: Record<LogLevel, number> = { trace: 7, debug: 7, info: 6, warn: 4, error: 3 };

export function createLogger(sink: LogSink, level: LogLevel = 'info'): Logger {
  return loggerWith(sink, { level }, {});
}

/** A logger for code under test that nobody reads. */
export function silentLogger(): Logger {
  return createLogger({
    format: 'json',
    write: () => {},
    clock: { now: () => 0, monotonic: () => 0, after: () => () => {} },
    journal: false,
  });
}

function loggerWith(sink: LogSink, shared: { level: LogLevel }, base: LogFields): Logger {
  const at =
    (level: LogLevel) =>
    (message: string, fields: LogFields = {}) => {
      if (logLevels.indexOf(level) < logLevels.indexOf(shared.level)) return;
      sink.write(renderLine(sink, level, message, { ...base, ...fields }));
    };
  return {
    get level() {
      return shared.level;
    },
    set level(value) {
      shared.level = value;
    },
    trace: at('trace'),
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (fields) => loggerWith(sink, shared, { ...base, ...fields }),
  };
}

function renderLine(sink: LogSink, level: LogLevel, message: string, fields: LogFields): string {
  const time = new Date(sink.clock.now()).toISOString();
  const prefix = sink.journal ? `<${journalPriority[level]}>` : '';
  if (sink.format === 'json')
    return `${prefix}${JSON.stringify({ time, level, message, ...fields }, jsonSafe)}\n`;
  const rest = Object.entries(fields).map(([key, value]) => ` ${key}=${JSON.stringify(value, jsonSafe)}`);
  return `${prefix}${sink.journal ? '' : `${time} `}${level} ${message}${rest.join('')}\n`;
}

function jsonSafe(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (value instanceof Error) return value.message;
  return value;
}
