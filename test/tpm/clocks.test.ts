import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ClockInfo } from '../../src/tpm/attest.js';
import { CLOCK_SAVE_INTERVAL_MS, type ClockVerdict, compareClocks } from '../../src/tpm/clocks.js';

const before: ClockInfo = { clock: 10_000_000n, resetCount: 5, restartCount: 2, safe: true };

interface Row {
  name: string;
  now: Partial<ClockInfo>;
  verdict: ClockVerdict;
  reason: RegExp;
}

const rows: readonly Row[] = [
  { name: 'a later clock', now: { clock: 10_000_001n }, verdict: 'ok', reason: /same boot/ },
  { name: 'the same millisecond', now: {}, verdict: 'ok', reason: /same boot/ },
  {
    name: 'a clock that falls in one boot',
    now: { clock: 9_999_999n },
    verdict: 'cleared-or-cloned',
    reason: /from 10000000 to 9999999/,
  },
  {
    name: 'the same with safe clear',
    now: { clock: 9n, safe: false },
    verdict: 'cleared-or-cloned',
    reason: /clock fell/,
  },
  {
    name: 'a resume',
    now: { clock: 10_000_001n, restartCount: 3 },
    verdict: 'resumed',
    reason: /restartCount rose to 3/,
  },
  {
    name: 'a resume with an earlier clock',
    now: { clock: 1n, restartCount: 3 },
    verdict: 'cleared-or-cloned',
    reason: /clock fell/,
  },
  {
    name: 'fewer restarts in one boot',
    now: { clock: 20_000_000n, restartCount: 1 },
    verdict: 'cleared-or-cloned',
    reason: /restartCount fell from 2 to 1/,
  },
  {
    name: 'a reboot',
    now: { clock: 10_000_001n, resetCount: 6, restartCount: 0 },
    verdict: 'rebooted',
    reason: /rose by 1 to 6/,
  },
  {
    name: 'three reboots',
    now: { clock: 10_000_001n, resetCount: 8, restartCount: 0 },
    verdict: 'rebooted',
    reason: /rose by 3/,
  },
  {
    name: 'an orderly reboot with an earlier clock',
    now: { clock: 9_999_999n, resetCount: 6 },
    verdict: 'cleared-or-cloned',
    reason: /fell by 1 ms .* lost nothing/,
  },
  {
    name: 'a power loss',
    now: { clock: 9_000_000n, resetCount: 6, safe: false },
    verdict: 'rebooted',
    reason: /rose by 1/,
  },
  {
    name: 'a power loss that loses as much as the chip may',
    now: { clock: before.clock - CLOCK_SAVE_INTERVAL_MS, resetCount: 6, safe: false },
    verdict: 'rebooted',
    reason: /rose/,
  },
  {
    name: 'a power loss that loses more',
    now: { clock: before.clock - CLOCK_SAVE_INTERVAL_MS - 1n, resetCount: 6, safe: false },
    verdict: 'cleared-or-cloned',
    reason: /fell by 4194305 ms .* may lose 4194304/,
  },
  {
    name: 'TPM2_Clear',
    now: { clock: 3n, resetCount: 0, restartCount: 0 },
    verdict: 'cleared-or-cloned',
    reason: /resetCount fell from 5 to 0/,
  },
  {
    name: 'an earlier copy',
    now: { clock: 99_000_000n, resetCount: 4 },
    verdict: 'cleared-or-cloned',
    reason: /resetCount fell from 5 to 4/,
  },
];

for (const { name, now, verdict, reason } of rows) {
  test(`${name} is ${verdict}`, () => {
    const found = compareClocks(before, { ...before, ...now });
    assert.equal(found.verdict, verdict);
    assert.match(found.reason, reason);
  });
}

test('the chip saves its clock at least every 2^22 milliseconds', () => {
  assert.equal(CLOCK_SAVE_INTERVAL_MS, 4194304n);
});
