import assert from 'node:assert/strict';
import { test } from 'node:test';
import { measureTimes } from '../../../src/server/measurements/limits.js';
import type { Remembered } from '../../../src/server/measurements/memory.js';
import type { VerifiedQuote } from '../../../src/server/measurements/room.js';
import { askTick, repeats } from '../../../src/server/measurements/tick.js';

const NOW = 10_000_000;
const MIB = 1024 * 1024;
const quote = (digest: number, restartCount = 0) => ({
  ...{ selection: { bank: 'sha256' }, resetCount: 1, restartCount, pcrDigest: Uint8Array.of(digest) },
});

interface Options {
  /** Registers that nothing explains. */
  readonly unexplained?: readonly number[];
  readonly verdict?: string;
  readonly stored?: Partial<Remembered['set']['stored']>;
  readonly wholeAt?: number;
}

function remembered({
  unexplained = [],
  verdict = 'drifted',
  stored = {},
  wholeAt = NOW,
}: Options): Remembered {
  const pcrs = [4, 10, 11].map((pcr) => ({ pcr, explained: !unexplained.includes(pcr) }));
  const known = {
    ...{ akName: 'ak', quote: quote(1), key: 'policy/1', wholeAt },
    state: { resetCount: 1, restartCount: 0, bootLogSha256: '', confirmed: { userspaceLog: 0, imaList: 0 } },
    appraisal: { verdict, explanation: { pcrs } },
    set: { boot: '', stored: { 'boot-log': 0, 'userspace-log': 0, 'ima-list': 0, ...stored } },
  };
  return known as unknown as Remembered;
}

const verified = (digest: number, restartCount = 0) =>
  ({ akName: 'ak', quote: quote(digest, restartCount) }) as unknown as VerifiedQuote;

test('a list that explains nothing is not judged again for the same registers, under the same policy and in the same start', () => {
  const known = remembered({ unexplained: [10] });
  assert.equal(repeats(known, verified(1), 'policy/1', NOW), true);
  assert.equal(repeats(known, verified(2), 'policy/1', NOW), false, 'other registers');
  assert.equal(repeats(known, verified(1), 'policy/2', NOW), false, 'another policy');
  assert.equal(repeats(known, verified(1, 1), 'policy/1', NOW), false, 'after a resume');
  assert.equal(repeats(remembered({}), verified(1), 'policy/1', NOW), false, 'a list that is explained');
});

test('long logs of a drifted host that explain nothing are read again after some minutes, whatever the registers', () => {
  const rows: Options[] = [
    { unexplained: [10], stored: { 'ima-list': 3 * MIB } },
    { unexplained: [11], stored: { 'userspace-log': MIB } },
    { unexplained: [4], stored: { 'boot-log': MIB } },
  ];
  for (const row of rows) {
    const about = JSON.stringify(row);
    const wholeAt = NOW - measureTimes.unexplainedMs;
    assert.equal(repeats(remembered(row), verified(2), 'policy/1', NOW), true, about);
    assert.equal(repeats(remembered({ ...row, wholeAt }), verified(2), 'policy/1', NOW), false, about);
    assert.equal(repeats(remembered({ ...row, stored: {} }), verified(2), 'policy/1', NOW), false, about);
    const { unexplained: _, ...explained } = row;
    assert.equal(repeats(remembered(explained), verified(2), 'policy/1', NOW), false, about);
    for (const verdict of ['trusted', 'suspect'])
      assert.equal(repeats(remembered({ ...row, verdict }), verified(2), 'policy/1', NOW), false, about);
  }
});

test('and are not sent meanwhile', () => {
  const asked = (options: Options) => {
    const host = {} as Parameters<typeof askTick>[1];
    const { wishes } = askTick(1, host, remembered(options), { bank: 'sha256', pcrs: [10] }, NOW);
    return wishes.filter(({ maxBytes }) => maxBytes === 1).map(({ log }) => log);
  };
  assert.deepEqual(asked({}), []);
  assert.deepEqual(asked({ unexplained: [10] }), ['ima-list']);
  assert.deepEqual(asked({ unexplained: [11] }), [], 'short logs');
  assert.deepEqual(asked({ unexplained: [11], stored: { 'userspace-log': MIB } }), [
    'boot-log',
    'userspace-log',
  ]);
});
