/** Runs jobs one group after the other; what arrives while a group is under way becomes the next group. */
export interface GroupLane<Job, Result> {
  /** Settles when the group that took this job in has run. */
  add(job: Job): Promise<Result>;
  /** Resolves when everything that was added has settled. */
  drained(): Promise<void>;
}

interface Waiting<Job, Result> {
  readonly job: Job;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

export type Outcome<Result> = { readonly result: Result } | { readonly error: unknown };

/** @param run gives one outcome per job, in order; when it throws, every job of the group fails with that */
export function groupLane<Job, Result>(
  run: (jobs: readonly Job[]) => Promise<Outcome<Result>[]>,
  largest: number,
): GroupLane<Job, Result> {
  let waiting: Waiting<Job, Result>[] = [];
  let working: Promise<void> | undefined;
  async function work(): Promise<void> {
    while (waiting.length > 0) {
      const group = waiting.slice(0, largest);
      waiting = waiting.slice(largest);
      await settle(group, run);
    }
    working = undefined;
  }
  return {
    add: (job) =>
      new Promise((resolve, reject) => {
        waiting.push({ job, resolve, reject });
        working ??= Promise.resolve().then(work);
      }),
    drained: async () => {
      await working;
    },
  };
}

async function settle<Job, Result>(
  group: readonly Waiting<Job, Result>[],
  run: (jobs: readonly Job[]) => Promise<Outcome<Result>[]>,
): Promise<void> {
  try {
    const outcomes = await run(group.map((waiting) => waiting.job));
    group.forEach((waiting, i) => {
      const outcome = outcomes[i] ?? { error: new Error('the lane gave no outcome for a job') };
      if ('error' in outcome) waiting.reject(outcome.error);
      else waiting.resolve(outcome.result);
    });
  } catch (error) {
    for (const waiting of group) waiting.reject(error);
  }
}
