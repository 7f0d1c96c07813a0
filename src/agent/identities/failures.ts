import type { Clock } from '../../clock.js';
import { hasCode, messageOf, TouchmarkError } from '../../errors.js';
import type { SigningFailure } from '../contract.js';

/** Why signing for an entry failed last: kept until it succeeds or the entry is another, for those who ask later. */
export class Failures {
  readonly #clock: Clock;
  readonly #last = new Map<string, SigningFailure>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get(entryId: string): SigningFailure | undefined {
    return this.#last.get(entryId);
  }

  note(entryId: string, error: unknown): void {
    const code = error instanceof TouchmarkError ? error.code : 'internal';
    const failure = { at: this.#clock.now(), code, message: messageOf(error), kind: kindOf(error) };
    this.#last.set(entryId, failure);
  }

  forget(entryId: string): void {
    this.#last.delete(entryId);
  }

  /** What failed for the server's absence says nothing any more. */
  serverBack(): void {
    for (const [id, { code }] of this.#last) if (code === 'server_away') this.#last.delete(id);
  }

  clear(): void {
    this.#last.clear();
  }
}

/** What a workload may know of it: the words of the server are between it and the host's operator. */
export function kindOf(error: unknown): string {
  if (hasCode(error, 'server_away')) return 'the server cannot be reached to sign';
  if (hasCode(error, 'server_refused', 'node_refused', 'node_banned')) return 'the server refuses to sign';
  if (hasCode(error, 'server_answer_invalid')) return 'the answer of the server is of no use';
  return 'signing failed';
}
