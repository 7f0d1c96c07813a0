import type { Clock } from '../clock.js';
import { TouchmarkError } from '../errors.js';

/** The two directions of one bidirectional call, for a story that asks and waits for the answer. */
export interface Talk<Request, Response> {
  /** The next message. @throws TouchmarkError `attestation_timeout`, `attestation_request_invalid` when the peer is done */
  receive(): Promise<Request>;
  send(response: Response): void;
}

export interface TalkLimits {
  readonly clock: Clock;
  /** How long one message of the peer may take. */
  readonly answerMs: number;
  /** Ends the wait for the peer. */
  readonly signal: AbortSignal;
}

/**
 * Runs `story` and yields what it sends, its result last. What it throws is thrown; a caller that stops reading ends
 * the stream of requests.
 */
export async function* converse<Request, Response>(
  requests: AsyncIterable<Request>,
  limits: TalkLimits,
  story: (talk: Talk<Request, Response>) => Promise<Response>,
): AsyncGenerator<Response, void, undefined> {
  const incoming = requests[Symbol.asyncIterator]();
  const outgoing: Response[] = [];
  let wake = () => {};
  let finished = false;
  const told = story({
    receive: () => withinTime(incoming.next(), limits),
    send(response) {
      outgoing.push(response);
      wake();
    },
  })
    .then((last) => outgoing.push(last))
    .finally(() => {
      finished = true;
      wake();
    });
  told.catch(() => {});
  try {
    while (true) {
      for (let next = outgoing.shift(); next !== undefined; next = outgoing.shift()) yield next;
      if (finished) break;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    await told;
  } finally {
    // Not awaited: a message that never comes may be pending, and the peer is to hear the result now.
    incoming.return?.()?.catch(() => {});
  }
}

function withinTime<Request>(next: Promise<IteratorResult<Request>>, limits: TalkLimits): Promise<Request> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      cancel();
      limits.signal.removeEventListener('abort', onAbort);
    };
    const fail = (error: unknown) => {
      stop();
      reject(error);
    };
    const onAbort = () =>
      fail(new TouchmarkError('attestation_timeout', 'the call ended before its answer came'));
    const cancel = limits.clock.after(limits.answerMs, () =>
      fail(
        new TouchmarkError('attestation_timeout', `no answer came within ${limits.answerMs / 1000} seconds`),
      ),
    );
    if (limits.signal.aborted) return onAbort();
    limits.signal.addEventListener('abort', onAbort);
    next.then((result) => {
      stop();
      if (result.done !== true) return resolve(result.value);
      reject(
        new TouchmarkError('attestation_request_invalid', 'the agent ended the call before it was over'),
      );
    }, fail);
  });
}
