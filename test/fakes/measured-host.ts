import { createHash } from 'node:crypto';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { attestationKeyUnique, tickExtraData } from '../../src/attest/transcript.js';
import {
  LogKind,
  type LogPart,
  LogPartSchema,
  type LogRequest,
  LogRequestSchema,
  LogState,
  type LogWish,
  type TickEvidence,
  TickEvidenceSchema,
  TickSchema,
} from '../../src/wire/gen/touchmark/measure/v1/logs_pb.js';
import { record, sigData } from '../support/ima-list.js';
import { serverLeaf } from './attest-world.js';
import { type AttestingAgent, type ChipAgentOptions, chipAgent } from './chip-agent.js';
import { genuine } from './chip-world.js';
import type { SoftwareTpm } from './software-tpm.js';

export const unique = attestationKeyUnique('example.org', 0);

export interface MeasuredHost {
  readonly chip: SoftwareTpm;
  /** What it shows when it is asked; tests may put lies here. */
  bootLog: Buffer;
  imaList: Buffer;
  userspaceLog: Buffer | undefined;
  /** Bytes of parts that were sent, by log. */
  sent: Record<'boot' | 'userspace' | 'ima', number>;
  /** The kernel measures a file: list and PCR 10. */
  run(path: string): void;
  reboot(): void;
  /** Most bytes of one part, whatever is asked for. */
  partSize: number;
  attesting(options?: Partial<ChipAgentOptions>): Promise<AttestingAgent>;
  answerTick(tick: Uint8Array, change?: TickChange): Promise<TickEvidence>;
  part(request: LogRequest): LogPart;
}

export interface TickChange {
  readonly seq?: bigint;
  readonly extraData?: Uint8Array;
  /** Whose values are left out: of none, of all, or of these. */
  readonly without?: 'all' | readonly number[];
  readonly change?: (evidence: TickEvidence) => TickEvidence;
}

const pcrs = [0, 1, 2, 3, 4, 5, 6, 7, 10];

/** A machine with a chip in memory, a boot log and a kernel that measures what runs. */
export function measuredHost(
  chip: SoftwareTpm = genuine(),
  boot: (host: MeasuredHost) => void = plainBoot,
): MeasuredHost {
  const host: MeasuredHost = {
    chip,
    bootLog: Buffer.from('what the firmware did'),
    imaList: Buffer.alloc(0),
    userspaceLog: undefined,
    sent: { boot: 0, userspace: 0, ima: 0 },
    partSize: Number.POSITIVE_INFINITY,
    run(path) {
      const data = sigData(path);
      host.imaList = Buffer.concat([host.imaList, record('ima-sig', data)]);
      chip.extend('sha256', 10, createHash('sha256').update(data).digest());
    },
    reboot() {
      chip.reboot();
      boot(host);
    },
    async attesting(options = {}) {
      const features = options.hello ?? ((hello) => ({ ...hello, features: ['measurement-1'] }));
      const agent = await chipAgent(chip, {
        serverLeaf,
        ...options,
        hello: features,
        async evidence(evidence, challenge) {
          const logs = challenge.logs.map((wish) => answerWish(host, wish));
          const whole = { ...evidence, logs };
          return options.evidence === undefined ? whole : options.evidence(whole, challenge);
        },
      });
      let challenged = false;
      return {
        ...agent,
        async answer(bytes) {
          if (challenged) return toBinary(LogPartSchema, host.part(fromBinary(LogRequestSchema, bytes)));
          challenged = true;
          return agent.answer(bytes);
        },
      };
    },
    async answerTick(
      bytes,
      { seq, extraData, without = [], change = (evidence: TickEvidence) => evidence } = {},
    ) {
      const tick = fromBinary(TickSchema, bytes);
      const selection = { bank: tick.pcrBank, pcrs: tick.pcrs } as never;
      const quote = await chip.quote(unique, extraData ?? tickExtraData(tick.nonce, bytes), selection);
      const values = await chip.pcrRead(selection);
      const pcrValues = [...values]
        .sort(([a], [b]) => a - b)
        .flatMap(([index, value]) =>
          without === 'all' || without.includes(index) ? [] : [{ index, value }],
        );
      const logs = tick.logs.map((wish) => answerWish(host, wish));
      return change(
        create(TickEvidenceSchema, {
          seq: seq ?? tick.seq,
          ...quote,
          pcrValues,
          logs,
        }),
      );
    },
    part: ({ log, offset, maxBytes }) => sendPart(host, log, Number(offset), maxBytes),
  };
  boot(host);
  return host;
}

export const measuredPcrs: readonly number[] = pcrs;

function plainBoot(host: MeasuredHost): void {
  host.chip.extend('sha256', 0, createHash('sha256').update(host.bootLog).digest());
  host.imaList = Buffer.alloc(0);
  host.run('boot_aggregate');
}

function answerWish(host: MeasuredHost, { log, offset, knownSha256, maxBytes }: LogWish): LogPart {
  if (log === LogKind.BOOT && knownSha256.length > 0) {
    const hash = createHash('sha256').update(host.bootLog).digest();
    if (hash.equals(knownSha256)) return create(LogPartSchema, { log, state: LogState.UNCHANGED });
  }
  if (log === LogKind.IMA && Number(offset) > host.imaList.length) {
    return create(LogPartSchema, { log, state: LogState.SHORTER, offset });
  }
  return sendPart(host, log, Number(offset), maxBytes);
}

function sendPart(host: MeasuredHost, log: LogKind, offset: number, maxBytes: number): LogPart {
  const part = (fields: MessageInitShape<typeof LogPartSchema>) => create(LogPartSchema, { log, ...fields });
  const userspace = log === LogKind.USERSPACE ? host.userspaceLog : Buffer.alloc(0);
  if (userspace === undefined) return part({ state: LogState.ABSENT, reason: 'no systemd' });
  const whole = log === LogKind.BOOT ? host.bootLog : log === LogKind.IMA ? host.imaList : userspace;
  const data = whole.subarray(offset, offset + Math.min(maxBytes, host.partSize));
  host.sent[log === LogKind.BOOT ? 'boot' : log === LogKind.IMA ? 'ima' : 'userspace'] += data.length;
  const remaining = BigInt(Math.max(0, whole.length - offset - data.length));
  return part({ state: LogState.PRESENT, offset: BigInt(offset), data, remaining });
}
