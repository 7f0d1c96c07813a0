import type { Writable } from 'node:stream';
import type { Clock } from '../clock.js';
import { TouchmarkError } from '../errors.js';
import type { ServerCall } from './server-call.js';

export interface PumpOptions {
  readonly clock: Clock;
  /** How long one message may wait for the client to read before the stream is given up. */
  readonly writeTimeoutMs: number;
}

/**
 * Writes what the handler yields, one message in flight: the next one is asked for when the client has taken the last.
 * Returns when the handler ended; throws what it threw, or why the call is over. The handler is told by its signal and
 * is never waited for after that.
 */
export async function pump<T, C>(
  responses: AsyncIterable<T>,
  sink: Writable,
  call: ServerCall<C>,
  options: PumpOptions,
): Promise<void> {
  const iterator = responses[Symbol.asyncIterator]();
  // One slot instead of a race against a promise that lives as long as the call: races would pile up reactions on it.
  let giveUp: ((reason: unknown) => void) | undefined;
  const { signal } = call;
  signal.addEventListener('abort', () => giveUp?.(signal.reason), { once: true });
  const untilOver = <R>(start: (resolve: (value: R) => void, reject: (reason: unknown) => void) => void) =>
    new Promise<R>((resolve, reject) => {
      if (signal.aborted) reject(signal.reason);
      giveUp = reject;
      start(resolve, reject);
    });
  try {
    for (;;) {
      const item = await untilOver<IteratorResult<T>>((resolve, reject) => {
        iterator.next().then(resolve, reject);
      });
      if (item.done === true) return;
      await untilOver<void>((resolve, reject) => write(sink, item.value, options, call, resolve, reject));
    }
  } catch (error) {
    // Not awaited: a generator that is still waiting for something would hold its end back.
    void iterator.return?.()?.catch(() => {});
    throw error;
  }
}

function write<C>(
  sink: Writable,
  message: unknown,
  options: PumpOptions,
  call: ServerCall<C>,
  resolve: () => void,
  reject: (reason: unknown) => void,
): void {
  const cancel = options.clock.after(options.writeTimeoutMs, () =>
    reject(
      new TouchmarkError(
        'reader_stuck',
        `the client took no message of ${call.method.name} for ${options.writeTimeoutMs} ms`,
      ),
    ),
  );
  sink.write(message, (error) => {
    cancel();
    if (error) reject(error);
    else resolve();
  });
}
