import { hash } from 'node:crypto';
import { TouchmarkError } from '../../errors.js';
import { type HashName, hashByName } from '../../tpm/algorithms.js';
import { asBuffer } from '../as-buffer.js';
import { parseImaBinary } from '../ima/ima-binary.js';
import { type ImaRecord, LEGACY_DIGEST, LEGACY_TEMPLATE } from '../ima/ima-record.js';
import { IMA_PCR } from '../ima/ima-replay.js';
import { latin1 } from './digest-text.js';
import type { ImaFacts, LogProblem } from './state.js';

const LIST_DIGEST = 20;

export interface ImaWalk {
  /** Whether the visitor stopped the walk. */
  readonly stopped: boolean;
  /** Bytes and entries of the list up to where the walk ended, with those before it. */
  readonly bytes: number;
  readonly entries: number;
  /** PCR 10 there. */
  readonly value: Uint8Array;
  /** Why it ended before the list did. */
  readonly problem: LogProblem | undefined;
}

/** Called for each entry with PCR 10 after it, one character per byte; true ends the walk. */
export type ImaVisitor = (record: ImaRecord, value: string) => boolean;

/**
 * Replays a part of a list on top of what is known, in one pass. An entry that cannot be read ends it: whether what comes
 * from there on matters is for the quote to tell.
 */
export function walkIma(input: Uint8Array, before: ImaFacts, bank: HashName, visit: ImaVisitor): ImaWalk {
  const list = asBuffer(input);
  const { size } = hashByName(bank);
  const running = Buffer.concat([before.value, Buffer.alloc(size)]);
  let value = latin1(before.value);
  let entries = before.entries;
  let at = 0;
  const ended = (stopped: boolean, problem: LogProblem | undefined): ImaWalk => ({
    stopped,
    problem,
    bytes: before.bytes + at,
    entries,
    value: new Uint8Array(Buffer.from(value, 'latin1')),
  });
  try {
    for (const record of parseImaBinary(input, { before: before.entries })) {
      if (record.pcr === IMA_PCR) {
        if (record.violation) running.fill(0xff, size);
        else running.write(hash(bank, record.data, 'binary'), size, 'latin1');
        value = hash(bank, running, 'binary');
        running.write(value, 0, 'latin1');
      }
      at += recordSize(list, at, record);
      entries++;
      if (visit(record, value)) return ended(true, undefined);
    }
  } catch (error) {
    if (!(error instanceof TouchmarkError)) throw error;
    return ended(false, { code: 'ima_list_unreadable', message: error.message });
  }
  return ended(false, undefined);
}

/** Bytes that a record takes in the list. */
function recordSize(list: Buffer, at: number, { template, data }: ImaRecord): number {
  const head = 4 + LIST_DIGEST + 4 + template.length;
  if (template !== LEGACY_TEMPLATE) return head + 4 + data.length;
  return head + LEGACY_DIGEST + 4 + list.readUInt32LE(at + head + LEGACY_DIGEST);
}
