import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { type Chip, createChip } from '../../../src/agent/measure/chip.js';
import {
  type MeasuringStream,
  SessionMeasurement,
  type TickEvidence,
} from '../../../src/agent/measure/ticks.js';
import type { SentLogPart } from '../../../src/attest/logs.js';
import type { TpmDevice } from '../../../src/host/tpm.js';
import { createLogger } from '../../../src/log.js';
import { TickSchema } from '../../../src/wire/gen/touchmark/measure/v1/logs_pb.js';
import { genuine } from '../../fakes/chip-world.js';
import { fakeMeasurer } from '../../fakes/fake-measurer.js';
import { manualClock } from '../../fakes/manual-clock.js';

export const unique = Buffer.alloc(32, 7);
export const nonce = Buffer.alloc(32, 9);

/** What a session heard, and everything behind it that a test may move. */
export function begin(
  t: { after(task: () => void): void },
  open?: () => Promise<TpmDevice>,
  entries?: number,
) {
  const clock = manualClock();
  const tpm = genuine();
  const measurer = fakeMeasurer();
  measurer.entries = entries;
  const lines: Record<string, unknown>[] = [];
  const write = (line: string) => void lines.push(JSON.parse(line));
  const log = createLogger({ format: 'json', write, clock, journal: false }, 'debug');
  const chip: Chip = createChip({ unique, log, open: open ?? (async () => tpm) });
  const heard = { evidence: [] as TickEvidence[], parts: [] as SentLogPart[], growths: [] as number[] };
  const stream: MeasuringStream = {
    evidence: (evidence) => heard.evidence.push(evidence),
    logPart: (part) => heard.parts.push(part),
    growth: (entries) => heard.growths.push(entries),
  };
  const measuring = new SessionMeasurement({ clock, log, chip, measurer }, stream);
  t.after(() => measuring[Symbol.dispose]());
  const tick = (change: MessageInitShape<typeof TickSchema> = {}) =>
    toBinary(
      TickSchema,
      create(TickSchema, {
        ...{ seq: 1n, nonce, pcrBank: 'sha256', pcrs: [0, 4, 10], answerWithinMs: 10_000 },
        ...change,
      }),
    );
  return { clock, tpm, measurer, lines, log, chip, heard, measuring, tick };
}

export function warnings(lines: readonly Record<string, unknown>[]): unknown[] {
  return lines.filter(({ level }) => level === 'warn').map(({ message, error }) => [message, error]);
}
