import { TouchmarkError } from '../../errors.js';
import type { Outcome, Simulation } from './simulate.js';

const NAMED = 20;

/**
 * The blast-radius brake: holds a publication that would take the identities of more than a set share of the hosts that are
 * good now. It holds nothing else: evidence that fails the policy in force always counts at once.
 * @param percent of the good hosts, rounded down: of few hosts, none may be lost unless somebody says so
 * @throws TouchmarkError `blast_radius_exceeded`, with the hosts
 */
export function checkBlastRadius({ good, lost }: Simulation, percent: number): void {
  if (!exceedsBlastRadius({ good, lost }, percent)) return;
  const named = lost.slice(0, NAMED).map(nameOf);
  const more = lost.length > NAMED ? [`and ${lost.length - NAMED} more`] : [];
  throw new TouchmarkError(
    'blast_radius_exceeded',
    `this would take the trust of ${lost.length} of ${good} hosts, more than ${percent} %: ${[...named, ...more].join(', ')}`,
  );
}

export function exceedsBlastRadius(
  { good, lost }: Pick<Simulation, 'good' | 'lost'>,
  percent: number,
): boolean {
  return lost.length > Math.floor((good * percent) / 100);
}

export function nameOf({ name, hostId }: Pick<Outcome, 'name' | 'hostId'>): string {
  return name === '' ? hostId : name;
}
