/** Bounds of what hosts may send of their logs, in bytes unless the name says otherwise; checked before anything is kept. */
import type { LogKind } from '../../measure/appraise/contract.js';

const KIB = 1024;
const MIB = 1024 * KIB;

export const measureLimits = {
  /** Most that is read of one log at a time: whole after a boot, what was added to it later. */
  log: { 'boot-log': 2 * MIB, 'userspace-log': 2 * MIB, 'ima-list': 64 * MIB },
  /** Of one log of one boot, however slowly it grows. */
  boot: 256 * MIB,
  /** What comes with the quote, in one message of less than 1 MiB; the rest is asked for. */
  first: { 'boot-log': 192 * KIB, 'userspace-log': 64 * KIB, 'ima-list': 512 * KIB },
  /** One further part. */
  part: 768 * KIB,
  /** Parts of one evidence, so that nobody sends a log byte by byte. */
  parts: 200,
  /** What most hosts have to send after a boot is pulled in a place of this size; what is more takes a long one besides. */
  short: 8 * MIB,
  long: 60 * MIB,
  /** Places: 248 MiB together. */
  shortPlaces: 16,
  longPlaces: 2,
  /** Hosts that wait for one, with what came beside their quotes. */
  waiting: 500,
  /** Kept logs that are read back and judged at one time, or one host's that are more. */
  recalled: 16 * MIB,
  /** One record of the archive: 256 KiB in base64. */
  piece: 192 * KIB,
  /** What is kept of one host, boots and lists that nothing explains included. */
  host: 512 * MIB,
  /** Quotes that are kept of one host, with what was said of them. */
  records: 500,
  /** After so much more of one host, or so many quotes, it is held against its share. */
  pruned: 32 * MIB,
  prunedRecords: 50,
  /** From this size of an IMA list on, or less of the other logs, another thread judges. */
  inline: 256 * KIB,
  /** A reason that a host gives, in characters. */
  reason: 200,
} as const satisfies Record<string, number | Record<LogKind, number>>;

export const measureTimes = {
  /** In which a tick is to be answered, and each further part of a log. Milliseconds. */
  answerMs: 15_000,
  /** In which logs that are pulled are to be whole: 8 MiB, or all that a host has. */
  shortMs: 2 * 60_000,
  longMs: 5 * 60_000,
  /** The longest list there can be takes some seconds to judge. */
  judgeMs: 2 * 60_000,
  /** For a place to pull in. */
  waitMs: 5 * 60_000,
  /** At most one tick in this time for growth or for somebody who asks. */
  growthMs: 1000,
  /** Long logs that explain nothing are not read whole again before. */
  unexplainedMs: 5 * 60_000,
  /** Times of unchanged evidence are written this often, for all hosts at once. */
  flushMs: 5 * 60_000,
} as const;

/**
 * Milliseconds for which evidence says something about the present.
 * @param tickInterval seconds
 */
export function freshMs(tickInterval: number): number {
  return 2 * tickInterval * 1000 + measureTimes.answerMs;
}
