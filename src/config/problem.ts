export interface Position {
  /** From 1. */
  readonly line: number;
  /** From 1. */
  readonly column: number;
}

/** Something wrong in a file, and where. `validate` prints all of them at once. */
export interface Problem extends Position {
  readonly file: string;
  readonly message: string;
}

/** `server.toml:12:3: svid.x509_ttl: …`, which editors can jump to. */
export function formatProblem(problem: Problem): string {
  return `${problem.file}:${problem.line}:${problem.column}: ${problem.message}`;
}
