import type { ClockInfo } from './attest.js';

/**
 * - `ok`: the same boot, later.
 * - `resumed`: the same boot after a TPM Restart or Resume (suspend, hibernation) or a dynamic launch: PCRs may have moved, logs go on.
 * - `rebooted`: a TPM Reset: full logs are wanted.
 * - `cleared-or-cloned`: what one chip that was not cleared cannot show. Suspect, and full logs.
 */
export type ClockVerdict = 'ok' | 'resumed' | 'rebooted' | 'cleared-or-cloned';

export interface ClockComparison {
  verdict: ClockVerdict;
  /** One sentence, for the event and for `host show`. */
  reason: string;
  /** TPM Resets since: 1 for a plain reboot; more means boots that nobody saw. */
  resets: number;
}

/** Longest time for which a chip may keep its clock unsaved, in milliseconds (TPM 2.0 Part 1, 36.3): lost at an unorderly shutdown. */
export const CLOCK_SAVE_INTERVAL_MS = 2n ** 22n;

/**
 * Compares the clock and counters of two quotes by one attestation key, the earlier one first.
 * Equal clocks are `ok`: fast chips quote twice in a millisecond, and replay is what nonces are for.
 * Does NOT establish freshness, and compares nothing across two keys: outside the endorsement hierarchy counters are masked per key.
 */
export function compareClocks(previous: ClockInfo, current: ClockInfo): ClockComparison {
  const resets = current.resetCount - previous.resetCount;
  if (resets < 0) {
    return suspect(`resetCount fell from ${previous.resetCount} to ${current.resetCount}`);
  }
  if (resets > 0) return acrossReset(previous, current, resets);
  if (current.restartCount < previous.restartCount) {
    return suspect(
      `restartCount fell from ${previous.restartCount} to ${current.restartCount} within one resetCount`,
    );
  }
  if (current.clock < previous.clock) {
    return suspect(`the clock fell from ${previous.clock} to ${current.clock} ms within one resetCount`);
  }
  if (current.restartCount > previous.restartCount) {
    return { verdict: 'resumed', reason: `restartCount rose to ${current.restartCount}`, resets: 0 };
  }
  return { verdict: 'ok', reason: 'the same boot, later', resets: 0 };
}

/** The clock survives a reset; after an unorderly one (`safe` is clear) it may lack what was not saved yet. */
function acrossReset(previous: ClockInfo, current: ClockInfo, resets: number): ClockComparison {
  const lost = previous.clock - current.clock;
  const allowed = current.safe ? 0n : CLOCK_SAVE_INTERVAL_MS;
  if (lost > allowed) {
    const safe = current.safe ? 'says that it lost nothing' : `may lose ${allowed} ms`;
    return suspect(`the clock fell by ${lost} ms across a reset, but the chip ${safe}`, resets);
  }
  return { verdict: 'rebooted', reason: `resetCount rose by ${resets} to ${current.resetCount}`, resets };
}

function suspect(reason: string, resets = 0): ClockComparison {
  return { verdict: 'cleared-or-cloned', reason, resets };
}
