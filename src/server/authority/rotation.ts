/** When authorities are prepared, activated and forgotten. Times are Unix seconds. Pure. */
import type { AuthorityState } from '../contract.js';
import type { AuthorityRecord } from '../model.js';

const DAY = 24 * 3600;
const MOST_PREPARE = 30 * DAY;
const MOST_ACTIVATE = 7 * DAY;
/** Clocks of those who verify may run behind. */
export const PUBLISHED_AFTER_END = 60;

type Life = Pick<AuthorityRecord, 'issuedAt' | 'expiresAt'>;

/** The successor is made when half of the life, or 30 days, remain. */
export function prepareAt({ issuedAt, expiresAt }: Life): number {
  return expiresAt - Math.min(Math.floor((expiresAt - issuedAt) / 2), MOST_PREPARE);
}

/**
 * The successor signs when a sixth of the life, or 7 days, remain; never before those who verify had `lead` seconds to learn
 * of it, unless the one that it follows ends first.
 */
export function activateAt(active: Life, prepared: Life, lead: number): number {
  const life = active.expiresAt - active.issuedAt;
  const due = active.expiresAt - Math.min(Math.floor(life / 6), MOST_ACTIVATE);
  return Math.min(Math.max(due, prepared.issuedAt + Math.min(lead, Math.floor(life / 12))), active.expiresAt);
}

export type RotationStep = 'replace' | 'prepare' | 'activate';

/** What is to be done at `now`, if anything; after it, ask again. A prepared authority that has ended counts as none. */
export function dueStep(state: AuthorityState, now: number, lead: number): RotationStep | undefined {
  const { active } = state;
  const prepared =
    state.prepared !== undefined && state.prepared.expiresAt > now ? state.prepared : undefined;
  if (active === undefined || active.expiresAt <= now) return prepared === undefined ? 'replace' : 'activate';
  if (prepared === undefined) return now >= prepareAt(active) ? 'prepare' : undefined;
  return now >= activateAt(active, prepared, lead) ? 'activate' : undefined;
}

/** When `dueStep` will have something to say. */
export function nextStepAt({ active, prepared }: AuthorityState, lead: number): number {
  if (active === undefined) return 0;
  return prepared === undefined ? prepareAt(active) : activateAt(active, prepared, lead);
}

/** When an authority that does not sign leaves the bundle: SVIDs end no later than the authority that signed them. */
export function forgetAt(record: AuthorityRecord): number {
  return record.expiresAt + PUBLISHED_AFTER_END;
}
