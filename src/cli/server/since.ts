import { parseDuration } from '../../config/check.js';
import { TouchmarkError } from '../../errors.js';

/**
 * A moment as people write it: `2026-03-01T12:00:00Z`, or how long ago it was: `24h`. Empty: the beginning.
 * @returns Unix milliseconds
 * @throws TouchmarkError `flag_invalid`
 */
export function readSince(flag: string, text: string, now: number): number {
  if (text === '') return 0;
  const age = parseDuration(text);
  if (age !== undefined) return Math.max(0, now - age * 1000);
  const time = /^\d{4}-\d\d-\d\d(T|$)/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isFinite(time) && time >= 0) return time;
  throw new TouchmarkError('flag_invalid', `-${flag} ${JSON.stringify(text)} is not a time and not an age`);
}
