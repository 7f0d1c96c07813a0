import { type Clock, unixSeconds } from '../../clock.js';
import { messageOf } from '../../errors.js';
import type { Logger } from '../../log.js';
import type { SerialLane } from '../datastores/serial-lane.js';
import type { AuthorityBook, Purpose } from './book.js';
import { endsOf, withoutEnded } from './bundle.js';
import { dueStep, forgetAt, nextStepAt, PUBLISHED_AFTER_END, type RotationStep } from './rotation.js';
import type { Slots } from './slots.js';

const FIRST_RETRY_SECONDS = 5;
const LONGEST_RETRY_SECONDS = 300;
/** A rotation has at most two steps, prepare and activate; more in a row would be a circle. */
const MOST_STEPS = 3;

export interface TimekeeperDeps {
  readonly book: AuthorityBook;
  readonly slots: {
    readonly [P in Purpose]: Pick<Slots<unknown>, 'prepare' | 'activate' | 'replace' | 'forgetKeys'>;
  };
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

interface Watch {
  readonly deps: TimekeeperDeps;
  cancel: () => void;
  /** Unix seconds; infinite while nothing is set or something is under way. */
  nextAt: number;
  failures: number;
  stopped: boolean;
}

export function createTimekeeper(deps: TimekeeperDeps): Timekeeper {
  const watch: Watch = {
    deps,
    cancel: () => {},
    nextAt: Number.POSITIVE_INFINITY,
    failures: 0,
    stopped: false,
  };
  return {
    start: () =>
      deps.lane.run(async () => {
        await doDue(deps);
        reschedule(watch);
      }),
    reschedule: () => reschedule(watch),
    nudge: () => {
      if (deps.clock.now() / 1000 >= watch.nextAt) wake(watch);
    },
    stop: () => {
      watch.stopped = true;
      watch.cancel();
    },
  };
}

function reschedule(watch: Watch): void {
  watch.failures = 0;
  wakeAt(watch, nextDue(watch.deps.book));
}

function wakeAt(watch: Watch, seconds: number): void {
  const { clock } = watch.deps;
  watch.cancel();
  if (watch.stopped) return;
  watch.nextAt = seconds;
  watch.cancel = clock.after(Math.max(0, seconds * 1000 - clock.now()), () => wake(watch));
}

function wake(watch: Watch): void {
  const { clock, lane, logger } = watch.deps;
  watch.cancel();
  watch.nextAt = Number.POSITIVE_INFINITY;
  void lane.run(async () => {
    if (watch.stopped) return;
    try {
      await doDue(watch.deps);
      reschedule(watch);
    } catch (error) {
      const wait = Math.min(FIRST_RETRY_SECONDS * 2 ** watch.failures, LONGEST_RETRY_SECONDS);
      watch.failures += 1;
      logger.error('rotating the authorities failed', { error: messageOf(error), retryInSeconds: wait });
      wakeAt(watch, unixSeconds(clock) + wait);
    }
  });
}

async function doDue(deps: TimekeeperDeps): Promise<void> {
  await rotate(deps, 'x509');
  await rotate(deps, 'jwt');
  await forget(deps);
}

/** How long those who verify may take to learn of a new authority. */
function leadOf(book: AuthorityBook): number {
  return book.stored().refreshHint;
}

async function rotate({ book, slots, clock, logger }: TimekeeperDeps, purpose: Purpose): Promise<void> {
  for (let steps = 0; steps < MOST_STEPS; steps += 1) {
    const state = book.state(purpose);
    const step = dueStep(state, unixSeconds(clock), leadOf(book));
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

/** Takes out of the bundle what nothing valid can refer to any more, and destroys its keys. */
async function forget({ book, slots, clock }: TimekeeperDeps): Promise<void> {
  const now = unixSeconds(clock);
  const drop = book.records().filter((record) => record.slot === 'old' && forgetAt(record) <= now);
  const stored = withoutEnded(book.stored(), now - PUBLISHED_AFTER_END);
  if (drop.length > 0 || stored !== book.stored()) await book.change({ drop, stored });
  for (const purpose of new Set(drop.map((record) => record.purpose))) await slots[purpose].forgetKeys();
}

function nextDue(book: AuthorityBook): number {
  const lead = leadOf(book);
  const old = book.records().filter(({ slot }) => slot === 'old');
  return Math.min(
    nextStepAt(book.state('x509'), lead),
    nextStepAt(book.state('jwt'), lead),
    ...old.map(forgetAt),
    ...endsOf(book.stored()).map((end) => end + PUBLISHED_AFTER_END),
  );
}
