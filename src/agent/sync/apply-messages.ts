import { TouchmarkError } from '../../errors.js';
import type { Logger } from '../../log.js';
import type { Bundle } from '../../spiffe/bundle.js';
import type { TrustDomain } from '../../spiffe/id.js';
import { boundCrls } from '../../x509/crl-bounds.js';
import type { FedIdentityStore } from '../identities/identity-store.js';
import type { SessionMessage, SessionStream } from '../server/api.js';
import { ChangeCollector, type WholeChange } from './collect-change.js';

export interface ApplyDeps {
  readonly log: Logger;
  readonly store: FedIdentityStore;
  /** The server's newest own bundle, before the store has it. @throws TouchmarkError when it cannot be believed */
  ownBundle(bundle: Bundle): void;
  /** Unix seconds; 0 never. */
  reattestAt(time: number): void;
}

/** What is about the store: measuring has its own place. */
export type StoreMessage = Exclude<SessionMessage, { kind: 'tick' | 'log-request' }>;
type Message<Kind extends SessionMessage['kind']> = Extract<SessionMessage, { kind: Kind }>;

/** States in which the server takes everything back. */
const withdrawnStates: ReadonlySet<string> = new Set(['drifted', 'quarantined', 'banned', 'retired']);

export function isWithdrawn(state: string): boolean {
  return withdrawnStates.has(state);
}

/** Serving begins when there are bundles and entries, and ends only by a withdrawal. */
export function serveIfReady(store: FedIdentityStore): void {
  const { phase, state } = store.status;
  const synced = store.bundles !== undefined && store.held.epoch !== '';
  if (phase !== 'serving' && synced && !isWithdrawn(state)) store.setStatus({ phase: 'serving' });
}

/** Applies a session's messages to the store in their order; a change that comes in several takes effect with the last. */
export class MessageApplier {
  readonly #deps: ApplyDeps;
  readonly #stream: Pick<SessionStream, 'fail'>;
  readonly #collector = new ChangeCollector();
  #failures = 0;

  constructor(deps: ApplyDeps, stream: Pick<SessionStream, 'fail'>) {
    this.#deps = deps;
    this.#stream = stream;
  }

  /** @throws TouchmarkError `server_answer_invalid` when the session is of no use any more */
  apply(message: StoreMessage): void {
    if (message.kind === 'entries') this.#entries(message);
    else if (message.kind === 'bundles') this.#bundles(message);
    else if (message.kind === 'verdict') this.#verdict(message);
    else if (message.kind === 'withdraw') this.#withdraw(message);
    else if (message.kind === 'unusable') {
      this.#collector.broken();
      this.#unusable(message.why);
    }
  }

  #entries(message: Message<'entries'>): void {
    const whole = this.#collector.take(message);
    if (typeof whole === 'string') this.#unusable(whole);
    else if (whole !== undefined) this.#change(whole);
  }

  #change(whole: WholeChange): void {
    const { store, log } = this.#deps;
    store.applyEntries(whole);
    const { revision, full, upserts, removed } = whole;
    log.debug('entries applied', { revision, full, upserts: upserts.length, removed: removed.length });
    serveIfReady(store);
  }

  #bundles({ own, federated, crls }: Message<'bundles'>): void {
    const { store, ownBundle, log } = this.#deps;
    const ours = own ?? store.bundles?.own;
    if (ours === undefined)
      throw new TouchmarkError('server_answer_invalid', 'the server sent no own bundle');
    if (own !== undefined) ownBundle(own);
    const { kept, leftOut } = boundCrls(crls.map((der) => ({ der })));
    if (leftOut.length > 0) {
      log.error('the CRLs are too large for the Workload API: the largest are left out', {
        count: leftOut.length,
      });
    }
    const bounded = kept.map(({ der }) => der);
    store.setBundles({ own: ours, federated: foreignOnly(federated, ours.trustDomain), crls: bounded });
    serveIfReady(store);
  }

  #verdict({ state, reasons, reattestAt }: Message<'verdict'>): void {
    const { store } = this.#deps;
    store.setStatus({ state, reasons });
    if (isWithdrawn(state) && store.status.phase !== 'withdrawn') store.withdraw(state, reasons);
    this.#deps.reattestAt(reattestAt);
  }

  #withdraw({ reasons }: Message<'withdraw'>): void {
    const { store, log } = this.#deps;
    log.warn('the server withdrew all identities of this node', { reasons });
    store.withdraw(store.status.state, reasons);
  }

  #unusable(why: string): void {
    this.#failures += 1;
    this.#deps.log.error('the server sent something unusable', { why });
    // The server answers a failure with the whole set; if that is no better, a new connection is tried.
    if (this.#failures > 1)
      throw new TouchmarkError('server_answer_invalid', `the server keeps sending ${why}`);
    this.#stream.fail('message_unusable', why);
  }
}

/** A bundle of our own domain among the foreign ones would be a second truth about whom to believe. */
function foreignOnly(bundles: readonly Bundle[], own: TrustDomain): ReadonlyMap<TrustDomain, Bundle> {
  if (bundles.some(({ trustDomain }) => trustDomain === own)) {
    const message = `the server sent a bundle of ${own} among those of foreign trust domains`;
    throw new TouchmarkError('server_answer_invalid', message);
  }
  return new Map(bundles.map((bundle) => [bundle.trustDomain, bundle]));
}
