/**
 * Logs that do not fit beside a quote are pulled part by part, for as long as a host takes to send them. How many hosts do
 * so at once is bounded, how long each may take, and each does it once at a time. Long logs have places of their own: those
 * who send them slowly hold up one another and nobody else.
 */
import type { Clock } from '../../clock.js';
import { TouchmarkError } from '../../errors.js';
import { byteGate } from './byte-gate.js';
import type { PullPart } from './collect.js';
import { measureLimits, measureTimes } from './limits.js';

/** The pulling for one quote. Its places are kept until what came is judged. */
export interface Pulling extends Disposable {
  /**
   * Waits for a place, then asks for a part.
   * @param gathered bytes that are in memory already
   * @throws TouchmarkError `evidence_busy`, `evidence_late`, and what the host's answer throws
   */
  pull(gathered: number, ...request: Parameters<PullPart>): ReturnType<PullPart>;
}

export interface Pulls {
  start(hostId: string, pull: PullPart): Pulling;
}

export function createPulls(clock: Clock): Pulls {
  const { short, shortPlaces, long, longPlaces, waiting } = measureLimits;
  const shortLogs = byteGate(clock, shortPlaces * short, waiting);
  const longLogs = byteGate(clock, longPlaces * long, waiting);
  return {
    start(hostId, pull) {
      let leaveShort: (() => void) | undefined;
      let leaveLong: (() => void) | undefined;
      let end = 0;
      return {
        async pull(gathered, request) {
          if (leaveShort === undefined) {
            leaveShort = await shortLogs.enter(hostId, short, measureTimes.waitMs);
            end = clock.monotonic() + measureTimes.shortMs;
          }
          if (leaveLong === undefined && gathered + request.maxBytes > short) {
            leaveLong = await longLogs.enter(hostId, long, measureTimes.waitMs);
            end = clock.monotonic() + measureTimes.longMs;
          }
          if (clock.monotonic() <= end) return pull(request);
          throw new TouchmarkError('evidence_late', `the ${request.log} did not come whole within its time`);
        },
        [Symbol.dispose]() {
          leaveLong?.();
          leaveShort?.();
        },
      };
    },
  };
}
