/**
 * Hands on what a stream yields for as long as its caller is believed: whenever `onChange` calls, the check is made again, and
 * what it throws ends the stream at once, even while it waits for something to say.
 */
export async function* whileBelieved<T>(
  source: AsyncIterable<T>,
  check: () => void,
  onChange: (listener: () => void) => () => void,
): AsyncGenerator<T> {
  const iterator = source[Symbol.asyncIterator]();
  let failure: { readonly error: unknown } | undefined;
  let wake: (error: unknown) => void = () => {};
  const stop = onChange(() => {
    try {
      check();
    } catch (error) {
      failure ??= { error };
      wake(error);
    }
  });
  try {
    for (;;) {
      if (failure !== undefined) throw failure.error;
      const item = await new Promise<IteratorResult<T>>((resolve, reject) => {
        wake = reject;
        iterator.next().then(resolve, reject);
      });
      if (item.done === true) return;
      yield item.value;
    }
  } finally {
    stop();
    // Not awaited: a source that still waits would hold the end back.
    void iterator.return?.().catch(() => {});
  }
}
