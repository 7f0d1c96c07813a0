import type { Clock } from '../clock.js';
import type { Logger } from '../log.js';
import type { FedIdentityStore } from './identities/identity-store.js';
import type { NodeSvidKeeper } from './node/keeper.js';
import type { ServerConnection } from './server/connection.js';
import type { Trust } from './server/trust.js';
import { linkedTo } from './signals.js';
import { keepInSync } from './sync/keep-in-sync.js';
import type { SessionDeps } from './sync/session.js';

export interface LoopDeps extends Pick<SessionDeps, 'measure'> {
  readonly clock: Clock;
  readonly log: Logger;
  readonly random: () => number;
  readonly signal: AbortSignal;
  readonly keeper: NodeSvidKeeper;
  readonly connection: ServerConnection;
  readonly store: FedIdentityStore;
  readonly trust: Trust;
}

export interface Loops extends AsyncDisposable {
  /** Whether all of them still run. */
  alive(): boolean;
}

/** The two loops that never end by themselves. Should one do so, the watchdog is no longer fed. */
export function runLoops({ keeper, trust, signal, ...deps }: LoopDeps): Loops {
  const own = linkedTo(signal);
  const ownBundle: Trust['update'] = (bundle) => trust.update(bundle);
  let running = 2;
  const watched = async (loop: Promise<void>) => {
    try {
      await loop;
    } catch (error) {
      deps.log.error('a loop of the agent failed', { error });
    }
    running -= 1;
  };
  const loops = [
    watched(keeper.run(own.signal)),
    watched(keepInSync({ ...deps, keeper, ownBundle }, own.signal)),
  ];
  return {
    alive: () => running === loops.length,
    async [Symbol.asyncDispose]() {
      own.abort();
      await Promise.all(loops);
      own[Symbol.dispose]();
    },
  };
}
