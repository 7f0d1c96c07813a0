import type { ErrorCode } from '../../error-table.js';
import { TouchmarkError } from '../../errors.js';

/** One thing that is wrong with a manifest, and where. */
export interface ManifestProblem {
  readonly code: Extract<ErrorCode, 'manifest_invalid' | 'glob_invalid' | 'policy_checks_nothing'>;
  /** Keys and indices from the top; empty: the whole. */
  readonly path: readonly (string | number)[];
  /** What is wrong and what would be right, without the place. */
  readonly message: string;
}

const MAX_TOLD = 8;

/** `acceptNext[0].from` */
export function formatPath(path: readonly (string | number)[]): string {
  return path
    .map((part, index) =>
      typeof part === 'number' ? `[${part}]` : `${index === 0 ? '' : '.'}${shownKey(part)}`,
    )
    .join('');
}

function shownKey(key: string): string {
  return /^[A-Za-z0-9_-]{1,60}$/.test(key) ? key : JSON.stringify(key.slice(0, 60));
}

export function problemsError(title: string, problems: readonly ManifestProblem[]): TouchmarkError {
  const told = problems
    .slice(0, MAX_TOLD)
    .map(({ path, message }) => (path.length === 0 ? message : `${formatPath(path)}: ${message}`));
  const more = problems.length > MAX_TOLD ? [`and ${problems.length - MAX_TOLD} more`] : [];
  return new TouchmarkError(
    problems[0]?.code ?? 'manifest_invalid',
    `${title}: ${[...told, ...more].join('; ')}`,
  );
}
