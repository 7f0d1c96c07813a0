import { MEASUREMENT_FEATURE } from '../../attest/logs.js';
import type { MeasuringStream, SessionMeasurement } from '../measure/ticks.js';
import type { ServerApi } from '../server/api.js';
import { type ApplyDeps, MessageApplier } from './apply-messages.js';
import { Pulse, type PulseDeps } from './pulse.js';

export interface SessionDeps extends ApplyDeps, PulseDeps {
  /** Answers the ticks of a session; absent where no chip could quote. */
  readonly measure?: (stream: MeasuringStream) => SessionMeasurement;
}

/**
 * Holds one session: says what is held, applies what is pushed, beats. Returns when the server ended it in order.
 * @param established called once, with the first message of the server
 * @throws TouchmarkError `session_lost`, `server_answer_invalid`, and what `ServerApi` says
 */
export async function runSession(
  api: Pick<ServerApi, 'openSession'>,
  deps: SessionDeps,
  signal: AbortSignal,
  established: () => void,
): Promise<void> {
  const { store } = deps;
  const features = deps.measure === undefined ? [] : [MEASUREMENT_FEATURE];
  const hello = { ...store.held, bundleSequence: store.bundles?.own.sequence ?? 0n, features };
  const stream = api.openSession(hello, signal);
  const applier = new MessageApplier(deps, stream);
  using pulse = new Pulse(deps, stream);
  using measuring = deps.measure?.(stream);
  let first = true;
  try {
    for await (const message of stream) {
      if (signal.aborted) return;
      pulse.heard();
      store.heard();
      if (first) established();
      first = false;
      if (message.kind === 'tick') measuring?.tick(message.bytes);
      else if (message.kind === 'log-request') measuring?.logRequest(message);
      else applier.apply(message);
    }
  } catch (error) {
    throw pulse.silence ?? error;
  } finally {
    stream.cancel();
  }
  if (pulse.silence !== undefined) throw pulse.silence;
}
