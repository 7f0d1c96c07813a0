import { type Clock, unixSeconds } from '../clock.js';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import type { AuthorityBook, Purpose } from './authority-book.js';
import { endsOf, withoutEnded } from './authority-bundle.js';
import {
  dueStep,
  forgetAt,
  nextStepAt,
  PUBLISHED_AFTER_END,
  type RotationStep,
} from './authority-rotation.js';
import type { Slots } from './authority-slots.js';
import type { SerialLane } from './datastores/serial-lane.js';

const FIRST_RETRY_SECONDS = 5;
const LONGEST_RETRY_SECONDS = 300;
/** A rotation has at most two steps, prepare and activate; more in a row would be a circle. */
const MOST_STEPS = 3;

export interface TimekeeperDeps {
  readonly book: AuthorityBook;
  readonly slots: { readonly [P in Purpose]: Pick<Slots<unknown>, 'prepare' | 'activate' | 'replace'> };
  readonly clock: Clock;
  readonly logger: Logger;
  readonly lane: SerialLane;
}

/** Does what is due, then sleeps until the next thing is. */
export interface Timekeeper {
  /** Does what is due now; throws if there is then still nothing to sign with. */
  start(): Promise<void>;
  /** After a change by hand. */
  reschedule(): void;
  /** For readers: a timer may be late, after a suspended night for example. */
  nudge(): void;
  stop(): void;
}

export function createTimekeeper(deps: TimekeeperDeps): Timekeeper {
  const { book, clock, logger, lane } = deps;
  const lead = () => book.stored().refreshHint;
  let cancel = (): void => {};
  let nextAt = Number.POSITIVE_INFINITY;
  let failures = 0;
  let stopped = false;

  async function doDue(): Promise<void> {
    await rotate(deps, 'x509', lead());
    await rotate(deps, 'jwt', lead());
    await forget(deps);
  }

  function wakeAt(seconds: number): void {
    cancel();
    if (stopped) return;
    nextAt = seconds;
    cancel = clock.after(Math.max(0, seconds * 1000 - clock.now()), wake);
  }

  function reschedule(): void {
    failures = 0;
    wakeAt(nextDue(book, lead()));
  }

  function wake(): void {
    nextAt = Number.POSITIVE_INFINITY;
    void lane.run(async () => {
      if (stopped) return;
      try {
        await doDue();
        reschedule();
      } catch (error) {
        const wait = Math.min(FIRST_RETRY_SECONDS * 2 ** failures, LONGEST_RETRY_SECONDS);
        failures += 1;
        logger.error('rotating the authorities failed', { error: messageOf(error), retryInSeconds: wait });
        wakeAt(unixSeconds(clock) + wait);
      }
    });
  }

  return {
    start: () =>
      lane.run(async () => {
        await doDue();
        reschedule();
      }),
    reschedule,
    nudge: () => {
      if (clock.now() / 1000 >= nextAt) {
        cancel();
        wake();
      }
    },
    stop: () => {
      stopped = true;
      cancel();
    },
  };
}

async function rotate(
  { book, slots, clock, logger }: TimekeeperDeps,
  purpose: Purpose,
  lead: number,
): Promise<void> {
  for (let steps = 0; steps < MOST_STEPS; steps += 1) {
    const state = book.state(purpose);
    const step = dueStep(state, unixSeconds(clock), lead);
    if (step === undefined) return;
    const { id, expiresAt } = await take(slots[purpose], step, state.prepared?.id ?? '');
    logger.info(`authority ${step === 'prepare' ? 'prepared' : 'activated'}`, {
      purpose,
      id,
      expiresAt,
      by: 'time',
    });
  }
}

function take(
  slots: Pick<Slots<unknown>, 'prepare' | 'activate' | 'replace'>,
  step: RotationStep,
  prepared: string,
) {
  if (step === 'prepare') return slots.prepare();
  return step === 'activate' ? slots.activate(prepared) : slots.replace();
}

/** Takes out of the bundle what nothing valid can refer to any more. */
async function forget({ book, clock }: TimekeeperDeps): Promise<void> {
  const now = unixSeconds(clock);
  const drop = book.records().filter((record) => record.slot === 'old' && forgetAt(record) <= now);
  const stored = withoutEnded(book.stored(), now - PUBLISHED_AFTER_END);
  if (drop.length > 0 || stored !== book.stored()) await book.change({ drop, stored });
}

function nextDue(book: AuthorityBook, lead: number): number {
  const old = book.records().filter(({ slot }) => slot === 'old');
  return Math.min(
    nextStepAt(book.state('x509'), lead),
    nextStepAt(book.state('jwt'), lead),
    ...old.map(forgetAt),
    ...endsOf(book.stored()).map((end) => end + PUBLISHED_AFTER_END),
  );
}
