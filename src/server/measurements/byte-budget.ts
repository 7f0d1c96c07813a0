import { TouchmarkError } from '../../errors.js';

/** Bytes that may be under way at one time, over all who share it. */
export interface ByteBudget {
  /** @throws TouchmarkError `evidence_busy` */
  take(bytes: number): void;
  give(bytes: number): void;
  readonly used: number;
}

export function byteBudget(most: number): ByteBudget {
  let used = 0;
  return {
    take(bytes) {
      if (used + bytes > most)
        throw new TouchmarkError('evidence_busy', `logs of more than ${most} bytes are under way already`);
      used += bytes;
    },
    give(bytes) {
      used -= bytes;
    },
    get used() {
      return used;
    },
  };
}
