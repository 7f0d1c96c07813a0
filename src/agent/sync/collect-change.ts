import type { EntriesMessage } from '../server/api.js';

/** One change of the node's entries, all its messages joined. */
export type WholeChange = Omit<EntriesMessage, 'kind' | 'more'>;

/** More than any node can have; bounds what one change may collect. */
export const MOST_ENTRIES = 200_000;
const MOST_MESSAGES = 10_000;

/**
 * Joins the messages of one change. Where one is missing or makes no sense, all that follow are of no use until the server
 * begins anew with the whole set.
 */
export class ChangeCollector {
  #parts: EntriesMessage[] = [];
  #count = 0;
  #onlyWhole = false;

  /** Returns the change when it is whole, nothing while more is to come, or what is wrong, in words. */
  take(message: EntriesMessage): WholeChange | string | undefined {
    const first = this.#parts[0] ?? message;
    if (this.#onlyWhole && !first.full) return undefined;
    const wrong = this.#wrongWith(message, first);
    if (wrong !== undefined) {
      this.broken();
      return wrong;
    }
    this.#parts.push(message);
    if (message.more) return undefined;
    const { epoch, revision } = message;
    const upserts = this.#parts.flatMap((part) => part.upserts);
    const removed = this.#parts.flatMap((part) => part.removed);
    this.#forget();
    this.#onlyWhole = false;
    return { epoch, revision, full: first.full, upserts, removed };
  }

  /** Something of the stream was lost: what was collected is not whole any more. */
  broken(): void {
    this.#forget();
    this.#onlyWhole = true;
  }

  #forget(): void {
    this.#parts = [];
    this.#count = 0;
  }

  #wrongWith(message: EntriesMessage, first: EntriesMessage): string | undefined {
    if (first.epoch !== message.epoch || first.revision !== message.revision)
      return `revision ${message.revision} in the middle of revision ${first.revision}`;
    this.#count += message.upserts.length + message.removed.length;
    if (this.#count > MOST_ENTRIES) return `more than ${MOST_ENTRIES} entries in one change`;
    if (this.#parts.length >= MOST_MESSAGES) return `more than ${MOST_MESSAGES} messages in one change`;
    return message.epoch === '' ? 'entries without the name of their store' : undefined;
  }
}
