import { TouchmarkError } from '../../errors.js';
import type { Outcome } from './outcome.js';
import type { Simulation } from './simulate.js';

const NAMED = 20;

/**
 * The blast-radius brake: holds a publication that would take the identities of more than a set share of the hosts that are
 * good now. It holds nothing else: evidence that fails the policy in force always counts at once.
 * @param percent of the good hosts, rounded down: of few hosts, none may be lost unless somebody says so
 * @throws TouchmarkError `blast_radius_exceeded`, with the hosts
 */
export function checkBlastRadius({ good, lost }: Pick<Simulation, 'good' | 'lost'>, percent: number): void {
  if (!exceedsBlastRadius({ good, lost }, percent)) return;
  const more = lost.length > NAMED ? [`and ${lost.length - NAMED} more`] : [];
  throw new TouchmarkError(
    'blast_radius_exceeded',
    `this would take the trust of ${lost.length} of ${good} hosts, more than ${percent} %: ${[...firstNames(lost), ...more].join(', ')}`,
  );
}

export function exceedsBlastRadius(
  { good, lost }: Pick<Simulation, 'good' | 'lost'>,
  percent: number,
): boolean {
  return lost.length > Math.floor((good * percent) / 100);
}

export function firstNames(outcomes: readonly Outcome[]): string[] {
  return outcomes.slice(0, NAMED).map(nameOf);
}

export function nameOf({ name, hostId }: Pick<Outcome, 'name' | 'hostId'>): string {
  return name === '' ? hostId : name;
}
