/** What is pushed, for one reader, in order; it ends when it is told to. */
export interface Queue<T> extends AsyncIterable<T> {
  push(item: T): void;
  end(): void;
}

export function queue<T>(): Queue<T> {
  const items: T[] = [];
  let ended = false;
  let wake = () => {};
  const stir = () => wake();
  return {
    push(item) {
      items.push(item);
      stir();
    },
    end() {
      ended = true;
      stir();
    },
    async *[Symbol.asyncIterator]() {
      for (;;) {
        for (let item = items.shift(); item !== undefined; item = items.shift()) yield item;
        if (ended) return;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
  };
}
