import type { Clock } from '../../clock.js';
import { TouchmarkError } from '../../errors.js';
import type { Logger } from '../../log.js';
import type { Bundle } from '../../spiffe/bundle.js';
import type { Bundles } from '../contract.js';
import type { FedIdentityStore } from '../identities/identity-store.js';
import type { EntriesMessage, ServerApi, SessionMessage, SessionStream } from '../server/api.js';

export interface SessionDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly store: FedIdentityStore;
  readonly random: () => number;
  /** The server's newest own bundle, before the store has it. @throws TouchmarkError when it cannot be believed */
  ownBundle(bundle: Bundle): void;
  /** Unix seconds; 0 never. */
  reattestAt(time: number): void;
}

export const HEARTBEAT_MS = 15_000;
/** After so many missed heartbeats the session is dead, whatever the connection says. */
const MISSED_BEATS = 3;
/** More than any node can have; bounds what one change may collect. */
const MOST_ENTRIES = 200_000;
/** States in which the server takes everything back. */
const withdrawnStates: ReadonlySet<string> = new Set(['drifted', 'quarantined', 'banned', 'retired']);

/**
 * Holds one session: says what is held, applies what is pushed, beats. Returns when the server ended it in order.
 * @param established called once, with the first message of the server
 * @throws TouchmarkError `session_lost`, `server_answer_invalid`, and what `ServerApi` says
 */
export async function runSession(
  api: ServerApi,
  deps: SessionDeps,
  signal: AbortSignal,
  established: () => void,
): Promise<void> {
  const { store } = deps;
  const hello = { ...store.held, bundleSequence: store.bundles?.own.sequence ?? 0n };
  const stream = api.openSession(hello, signal);
  const pulse = createPulse(deps, stream);
  const apply = createApplier(deps, stream);
  let first = true;
  try {
    for await (const message of stream) {
      if (signal.aborted) return;
      pulse.heard();
      store.heard();
      if (first) established();
      first = false;
      apply(message);
    }
  } catch (error) {
    throw pulse.silent() ?? error;
  } finally {
    pulse.stop();
    stream.cancel();
  }
  const silence = pulse.silent();
  if (silence !== undefined) throw silence;
}

/** Beats for us and listens for the other side. Jittered, so that a fleet does not beat in step. */
function createPulse({ clock, random }: SessionDeps, stream: SessionStream) {
  const jittered = () => HEARTBEAT_MS * (0.9 + 0.2 * random());
  let dead: TouchmarkError | undefined;
  let cancelSilence = () => {};
  let cancelBeat = () => {};
  const beat = () => {
    stream.heartbeat();
    cancelBeat = clock.after(jittered(), beat);
  };
  const heard = () => {
    cancelSilence();
    cancelSilence = clock.after(HEARTBEAT_MS * MISSED_BEATS, () => {
      const seconds = (HEARTBEAT_MS * MISSED_BEATS) / 1000;
      dead = new TouchmarkError('session_lost', `the server was silent for ${seconds} seconds`);
      stream.cancel();
    });
  };
  heard();
  cancelBeat = clock.after(jittered(), beat);
  return {
    heard,
    silent: () => dead,
    stop() {
      cancelSilence();
      cancelBeat();
    },
  };
}

/** Applies messages in their order; a change that comes in several takes effect with the last. */
function createApplier(deps: SessionDeps, stream: SessionStream): (message: SessionMessage) => void {
  const { store, log } = deps;
  const collect = createCollector();
  let failures = 0;

  const unusable = (why: string) => {
    failures += 1;
    log.error('the server sent something unusable', { why });
    // The server answers a failure with the whole set; if that is no better, a new connection is tried.
    if (failures > 1) throw new TouchmarkError('server_answer_invalid', `the server keeps sending ${why}`);
    stream.fail('message_unusable', why);
  };

  return (message) => {
    switch (message.kind) {
      case 'entries': {
        const whole = collect(message);
        if (typeof whole === 'string') unusable(whole);
        else if (whole !== undefined) {
          store.applyEntries(whole);
          log.debug('entries applied', {
            revision: whole.revision,
            full: whole.full,
            upserts: whole.upserts.length,
            removed: whole.removed.length,
          });
          serveIfReady(store);
        }
        return;
      }
      case 'bundles':
        applyBundles(deps, message);
        serveIfReady(store);
        return;
      case 'verdict':
        store.setStatus({ state: message.state, reasons: message.reasons });
        if (withdrawnStates.has(message.state) && store.status.phase !== 'withdrawn') {
          store.withdraw(message.state, message.reasons);
        }
        deps.reattestAt(message.reattestAt);
        return;
      case 'withdraw':
        log.warn('the server withdrew all identities of this node', { reasons: message.reasons });
        store.withdraw(store.status.state, message.reasons);
        return;
      case 'unusable':
        unusable(message.why);
        return;
      case 'heartbeat':
    }
  };
}

/** Serving begins when there are bundles and entries, and ends only by a withdrawal. */
export function serveIfReady(store: FedIdentityStore): void {
  const { phase, state } = store.status;
  const synced = store.bundles !== undefined && store.held.epoch !== '';
  if (phase !== 'serving' && synced && !withdrawnStates.has(state)) store.setStatus({ phase: 'serving' });
}

function applyBundles(
  { store, ownBundle }: SessionDeps,
  message: Extract<SessionMessage, { kind: 'bundles' }>,
): void {
  const own = message.own ?? store.bundles?.own;
  if (own === undefined) throw new TouchmarkError('server_answer_invalid', 'the server sent no own bundle');
  if (message.own !== undefined) ownBundle(message.own);
  const federated: Bundles['federated'] = new Map(
    message.federated.map((bundle) => [bundle.trustDomain, bundle]),
  );
  store.setBundles({ own, federated, crls: message.crls });
}

type Whole = Omit<EntriesMessage, 'kind' | 'more'>;

/** Joins the messages of one change. Returns it when it is whole, nothing while more is to come, or what is wrong. */
function createCollector(): (message: EntriesMessage) => Whole | string | undefined {
  let parts: EntriesMessage[] = [];
  let count = 0;
  const give = (result: Whole | string) => {
    parts = [];
    count = 0;
    return result;
  };
  return (message) => {
    const [first] = parts;
    if (first !== undefined && (first.epoch !== message.epoch || first.revision !== message.revision)) {
      return give(`revision ${message.revision} in the middle of revision ${first.revision}`);
    }
    parts.push(message);
    count += message.upserts.length + message.removed.length;
    if (count > MOST_ENTRIES) return give(`more than ${MOST_ENTRIES} entries in one change`);
    if (message.more) return undefined;
    if (message.epoch === '') return give('entries without the name of their store');
    return give({
      epoch: message.epoch,
      revision: message.revision,
      full: (first ?? message).full,
      upserts: parts.flatMap(({ upserts }) => upserts),
      removed: parts.flatMap(({ removed }) => removed),
    });
  };
}
