import { TouchmarkError } from '../../errors.js';
import type { ProcessHandle } from '../../host/peer.js';
import type { IdentityStore } from '../contract.js';

/**
 * One turn at once, then one after each change of the store, however many changes came meanwhile: a slow reader
 * never has more than one turn waiting. Ends with the signal.
 * @throws TouchmarkError `peer_gone` as soon as the process has ended
 */
export async function* storeChanges(
  store: Pick<IdentityStore, 'onChange'>,
  process: ProcessHandle,
  signal: AbortSignal,
): AsyncGenerator<void> {
  let pending = true;
  let gone = false;
  let wake = () => {};
  const stops = [
    store.onChange(() => {
      pending = true;
      wake();
    }),
    process.onExit(() => {
      gone = true;
      wake();
    }),
  ];
  const onAbort = () => wake();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    while (!signal.aborted) {
      if (gone) throw new TouchmarkError('peer_gone', `process ${process.pid} has ended`);
      if (pending) {
        pending = false;
        yield;
      } else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  } finally {
    for (const stop of stops) stop();
    signal.removeEventListener('abort', onAbort);
  }
}
