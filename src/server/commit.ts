import { hasCode, TouchmarkError } from '../errors.js';
import type { Condition, Datastore, Write } from './datastores/contract.js';

/** What a change would write, and what it saw of the store when it decided so. */
export interface Plan<R> {
  readonly writes: readonly Write[];
  readonly conditions: readonly Condition[];
  /** What the change amounts to, once it is written. */
  readonly result: R;
}

const ATTEMPTS = 8;

/**
 * Plans and commits; when somebody else changed what the plan saw, plans again from the start. A plan without writes is not
 * committed.
 * @throws TouchmarkError `write_contended` when others were faster too often, and whatever planning or the store throws
 */
export async function commitPlan<R>(store: Datastore, plan: () => Promise<Plan<R>>): Promise<R> {
  for (let attempt = 1; ; attempt += 1) {
    const { writes, conditions, result } = await plan();
    if (writes.length === 0) return result;
    try {
      await store.commit(writes, conditions);
      return result;
    } catch (cause) {
      if (!hasCode(cause, 'datastore_conflict')) throw cause;
      if (attempt === ATTEMPTS) {
        throw new TouchmarkError('write_contended', `others changed the same records ${ATTEMPTS} times`, {
          cause,
        });
      }
    }
  }
}
