import { TouchmarkError } from '../../errors.js';
import type { Selector } from '../../spiffe/selector.js';
import type { IdentityStore } from '../contract.js';
import type { Workload } from '../workload-attestors/contract.js';
import { invocationPrefix } from '../workload-attestors/systemd.js';
import type { Attestation, WorkloadAttestation } from './attest-workload.js';
import { createTurns, type Turns } from './changes.js';

export interface Following {
  readonly store: Pick<IdentityStore, 'onChange'>;
  readonly attestation: WorkloadAttestation;
}

/** What a stream shows. */
export interface View<U> {
  /** Throws when nothing may be shown to anybody now: then nobody is asked who it would be. */
  ready(): void;
  /** What could be told now without asking anybody; undefined when that is not known. */
  peek(attestation: Attestation): U | undefined;
  /** The update to send. Throws to end the stream. */
  build(attestation: Attestation, first: boolean): Promise<U>;
  /** Everything that a reader can see of it: objects that are replaced, never altered; bytes are compared as bytes. */
  visible(update: U): readonly unknown[];
}

/**
 * One update at once, then one whenever something that the reader can see has changed. Who is there is found out again
 * before each update and whenever the service manager starts or stops the process's unit.
 * @throws TouchmarkError `peer_gone` as soon as the process has ended, `unit_changed` when its unit was started again or
 *   stopped, and what the view throws
 */
export async function* follow<U>(
  { store, attestation }: Following,
  workload: Workload,
  signal: AbortSignal,
  view: View<U>,
): AsyncGenerator<U> {
  const turns = createTurns(signal);
  const { process } = workload;
  const stops = [
    store.onChange(() => stirOrFail(turns, view)),
    process.onExit(() => turns.fail(new TouchmarkError('peer_gone', `process ${process.pid} has ended`))),
  ];
  let known: Attestation | undefined;
  let askAgain = false;
  let sent: readonly unknown[] | undefined;
  try {
    for await (const _ of turns) {
      if (known && sent && !askAgain && unchanged(view, sent, view.peek(known))) continue;
      askAgain = false;
      view.ready();
      const before = known;
      known = await turns.unlessFailed(attestation.attest(workload, signal));
      if (before) checkSameRun(before, known, workload);
      else {
        stops.push(
          attestation.watch(known, () => {
            askAgain = true;
            turns.stir();
          }),
        );
      }
      const update = await view.build(known, sent === undefined);
      if (sent && unchanged(view, sent, update)) continue;
      sent = view.visible(update);
      yield update;
    }
  } finally {
    for (const stop of stops) stop();
  }
}

/** A withdrawal ends a stream at once, whatever it waits for. */
function stirOrFail(turns: Turns, view: Pick<View<unknown>, 'ready'>): void {
  try {
    view.ready();
    turns.stir();
  } catch (error) {
    turns.fail(error as Error);
  }
}

/** Identities belong to one run of a service: what is left of an earlier one does not keep them. */
function checkSameRun(before: Attestation, now: Attestation, { pid }: Workload): void {
  const run = runOf(before.selectors);
  if (run === undefined || run === runOf(now.selectors)) return;
  throw new TouchmarkError(
    'unit_changed',
    `no identity issued: the unit of process ${pid} was stopped or started again`,
  );
}

function runOf(selectors: readonly Selector[]): string | undefined {
  return selectors.find(({ type, value }) => type === 'systemd' && value.startsWith(invocationPrefix))?.value;
}

function unchanged<U>(view: View<U>, sent: readonly unknown[], update: U | undefined): boolean {
  if (update === undefined) return false;
  const now = view.visible(update);
  return sent.length === now.length && sent.every((part, at) => same(part, now[at]));
}

function same(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  return a instanceof Uint8Array && b instanceof Uint8Array && Buffer.compare(a, b) === 0;
}
