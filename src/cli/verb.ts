import type { Output } from './output.js';

export type FlagType = 'string' | 'boolean' | 'integer' | 'duration' | 'strings';

/** One flag, written `-name value` or `--name=value`. */
export interface Flag {
  readonly name: string;
  readonly type: FlagType;
  readonly doc: string;
  readonly default?: string | number | boolean;
  readonly required?: true;
  readonly choices?: readonly string[];
  /** Variables that stand in for the flag, first one that is set. */
  readonly env?: readonly string[];
  /** Shorter ways to write it, without the dash. */
  readonly aliases?: readonly string[];
}

export interface Argument {
  readonly name: string;
  readonly doc: string;
  readonly optional?: true;
}

/** What a verb is run with. Data goes to `out`, everything else to stderr through it. */
export interface VerbContext {
  readonly flags: FlagValues;
  readonly args: readonly string[];
  readonly out: Output;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
  readonly version: string;
  /** All of standard input. */
  readStdin(): Promise<string>;
}

/** One row of a program's verb table: help, completion, the manual and the dispatch are made from it. */
export interface Verb {
  /** Words as they are typed: `entry create`. */
  readonly name: string;
  readonly summary: string;
  /** One line that works as it stands. */
  readonly example: string;
  readonly flags: readonly Flag[];
  readonly args?: readonly Argument[];
  /** Flags that people know from elsewhere and that there are not, each with what to do instead. */
  readonly refused?: Readonly<Record<string, string>>;
  /** Resolves when done (exit 0), or with another exit code; a TouchmarkError ends with 1 and its sentence. */
  run(context: VerbContext): Promise<number | undefined>;
}

export interface Program {
  readonly name: string;
  readonly summary: string;
  readonly verbs: readonly Verb[];
}

/** Flag values by name, typed at the place where they are used. */
export class FlagValues {
  readonly #values: ReadonlyMap<string, unknown>;

  constructor(values: ReadonlyMap<string, unknown>) {
    this.#values = values;
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  /** The same values with one more, or another. */
  with(name: string, value: unknown): FlagValues {
    return new FlagValues(new Map([...this.#values, [name, value]]));
  }

  string(name: string): string {
    return (this.#values.get(name) as string | undefined) ?? '';
  }

  integer(name: string): number {
    return (this.#values.get(name) as number | undefined) ?? 0;
  }

  boolean(name: string): boolean {
    return this.#values.get(name) === true;
  }

  strings(name: string): readonly string[] {
    return (this.#values.get(name) as readonly string[] | undefined) ?? [];
  }
}
