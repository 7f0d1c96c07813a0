import { readFileSync } from 'node:fs';
import { messageOf, TouchmarkError } from '../errors.js';
import type { AgentConfig } from './agent-config.js';
import { agentKeys } from './agent-keys.js';
import { buildAgentConfig } from './build-agent.js';
import { buildServerConfig, type Complain } from './build-server.js';
import { checkDocument, type Key, problemAt, type Values } from './check.js';
import { formatProblem, type Problem } from './problem.js';
import { type Document, expandEnvironment, readDocument } from './read.js';
import type { ServerConfig } from './server-config.js';
import { serverKeys } from './server-keys.js';

export interface LoadOptions {
  /** Keys given on the command line, which win over the file: `log.level` -> `debug`. */
  readonly overrides?: ReadonlyMap<string, unknown>;
  /** Replace `$NAME` in the file first. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

export interface Loaded<Config> {
  /** undefined when there are problems. */
  readonly config?: Config;
  readonly problems: readonly Problem[];
}

export function loadServerConfig(
  file: string,
  text: string,
  options: LoadOptions = {},
): Loaded<ServerConfig> {
  return load(file, text, serverKeys, buildServerConfig, options);
}

export function loadAgentConfig(file: string, text: string, options: LoadOptions = {}): Loaded<AgentConfig> {
  return load(file, text, agentKeys, buildAgentConfig, options);
}

/** @throws TouchmarkError `config_unreadable` */
export function readConfigFile(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new TouchmarkError('config_unreadable', `cannot read ${file}: ${messageOf(cause)}`, { cause });
  }
}

/** @throws TouchmarkError `config_invalid` with every problem on a line of its own */
export function configOrThrow<Config>(loaded: Loaded<Config>): Config {
  if (loaded.config) return loaded.config;
  throw new TouchmarkError('config_invalid', loaded.problems.map(formatProblem).join('\n'));
}

function load<Config>(
  file: string,
  text: string,
  keys: readonly Key[],
  build: (values: Values, complain: Complain) => Config,
  options: LoadOptions,
): Loaded<Config> {
  const source = options.environment ? expandEnvironment(text, options.environment) : text;
  const read = readDocument(file, source);
  if (!read.document) return { problems: read.problems };
  const document = withOverrides(read.document, options.overrides);
  const { values, problems } = checkDocument(document, keys);
  const config = build(values, (path, message) => problems.push(problemAt(document, path, message)));
  problems.sort((a, b) => a.line - b.line || a.column - b.column);
  return problems.length > 0 ? { problems } : { config, problems };
}

function withOverrides(document: Document, overrides: ReadonlyMap<string, unknown> | undefined): Document {
  if (!overrides) return document;
  return { ...document, values: new Map([...document.values, ...overrides]) };
}
