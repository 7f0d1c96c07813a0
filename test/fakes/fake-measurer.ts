import type { Measurer } from '../../src/agent/measure/measurer.js';
import type { MeasuredLog } from '../../src/attest/logs.js';
import { cut, viewOf } from '../../src/host/measurements/view.js';

export interface FakeMeasurer extends Measurer {
  /** Logs that this host has; the others are absent. */
  readonly logs: Map<MeasuredLog, Uint8Array>;
  /** Of the kernel's list; undefined: no IMA. */
  entries: number | undefined;
  /** Snapshots taken so far. */
  readonly snapshots: number;
  /** Reads of the kernel's count. */
  readonly looks: number;
}

/** The logs of a host in memory. A snapshot shows them as they are when it is read. */
export function fakeMeasurer(): FakeMeasurer {
  const logs = new Map<MeasuredLog, Uint8Array>();
  const counts = { snapshots: 0, looks: 0 };
  const host: { entries: number | undefined } = { entries: undefined };
  return {
    logs,
    snapshot() {
      counts.snapshots += 1;
      return {
        async read(wish) {
          const bytes = logs.get(wish.log);
          if (bytes !== undefined) return cut(viewOf(bytes), wish);
          const { log, offset } = wish;
          return { log, state: 'absent', offset, data: new Uint8Array(), remaining: 0, reason: `no ${log}` };
        },
      };
    },
    async imaCount() {
      counts.looks += 1;
      return host.entries;
    },
    get entries() {
      return host.entries;
    },
    set entries(entries) {
      host.entries = entries;
    },
    get snapshots() {
      return counts.snapshots;
    },
    get looks() {
      return counts.looks;
    },
  };
}
