import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import test from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import { evidenceToWire } from '../../../src/agent/measure/wire.js';
import { tickExtraData } from '../../../src/attest/transcript.js';
import { TouchmarkError } from '../../../src/errors.js';
import type { TpmDevice } from '../../../src/host/tpm.js';
import { parseQuote } from '../../../src/tpm/attest.js';
import { pcrDigest } from '../../../src/tpm/pcr.js';
import { LogKind } from '../../../src/wire/gen/touchmark/measure/v1/logs_pb.js';
import { AgentMessageSchema } from '../../../src/wire/gen/touchmark/session/v1/session_pb.js';
import { genuine } from '../../fakes/chip-world.js';
import { settle, until } from '../../fakes/manual-clock.js';
import { begin, nonce, warnings } from './support.js';

const allLogs = [
  { log: LogKind.BOOT, offset: 0n, knownSha256: new Uint8Array(), maxBytes: 0 },
  { log: LogKind.USERSPACE, offset: 0n, knownSha256: new Uint8Array(), maxBytes: 0 },
  { log: LogKind.IMA, offset: 0n, knownSha256: new Uint8Array(), maxBytes: 0 },
];

test('a tick is answered by a quote over its very bytes, the values, and the logs from their offsets', async (t) => {
  const { tpm, measurer, heard, measuring, tick } = begin(t);
  tpm.extend('sha256', 10, Buffer.alloc(32, 1));
  measurer.logs.set('ima-list', Buffer.from('0123456789'));
  measurer.logs.set('boot-log', Buffer.from('booted'));
  const [boot, userspace, ima] = allLogs;
  assert.ok(boot && userspace && ima);
  const bytes = tick({ seq: 41n, logs: [boot, userspace, { ...ima, offset: 4n }] });
  measuring.tick(bytes);
  await until('answered', () => heard.evidence.length === 1);
  const [evidence] = heard.evidence;
  assert.ok(evidence);
  assert.equal(evidence.seq, 41n);
  const quote = parseQuote(evidence.attest);
  assert.deepEqual(Buffer.from(quote.extraData), Buffer.from(tickExtraData(nonce, bytes)));
  const values = new Map(evidence.pcrValues.map(({ index, value }) => [index, value]));
  assert.deepEqual([...values.keys()], [0, 4, 10]);
  const selection = { bank: 'sha256', pcrs: [0, 4, 10] } as const;
  assert.deepEqual(Buffer.from(quote.pcrDigest), Buffer.from(pcrDigest('sha256', selection, values)));
  assert.deepEqual(
    evidence.logs.map(({ log, state, offset, data, remaining }) => [
      ...[log, state, offset, Buffer.from(data).toString(), remaining],
    ]),
    [
      ['boot-log', 'present', 0, 'booted', 0],
      ['userspace-log', 'absent', 0, '', 0],
      ['ima-list', 'present', 4, '456789', 0],
    ],
  );
});

test('values that the server holds are neither read nor sent', async (t) => {
  const chip = genuine();
  let reads = 0;
  const counted: TpmDevice = {
    ...chip,
    pcrRead: (selection) => {
      reads += 1;
      return chip.pcrRead(selection);
    },
  };
  const { heard, measuring, tick } = begin(t, async () => counted);
  const ask = async (knownPcrDigest: Uint8Array = new Uint8Array()) => {
    const before = heard.evidence.length;
    measuring.tick(tick({ pcrs: [0, 10], knownPcrDigest }));
    await until('answered', () => heard.evidence.length > before);
    const { attest, pcrValues } = heard.evidence.at(-1) ?? assert.fail();
    return { digest: parseQuote(attest).pcrDigest, sent: pcrValues.length };
  };
  const { digest, sent } = await ask();
  assert.deepEqual([sent, reads], [2, 1]);
  assert.deepEqual([(await ask(digest)).sent, reads], [0, 1]);
  // An answer may be lost on its way: what counts is what the server says that it holds.
  assert.deepEqual([(await ask()).sent, reads], [2, 2]);
  chip.extend('sha256', 10, Buffer.alloc(32, 1));
  assert.deepEqual([(await ask(digest)).sent, reads], [2, 3]);
});

test('of registers that move at every look only those that moved are left out', async (t) => {
  const chip = genuine();
  chip.extend('sha256', 4, Buffer.alloc(32, 9));
  let quotes = 0;
  const busy: TpmDevice = {
    ...chip,
    async quote(...asked) {
      quotes += 1;
      const quote = await chip.quote(...asked);
      chip.extend('sha256', 10, Buffer.alloc(32, quotes));
      return quote;
    },
  };
  const { heard, measuring, tick } = begin(t, async () => busy);
  measuring.tick(tick());
  await until('answered', () => heard.evidence.length === 1);
  const values = await chip.pcrRead({ bank: 'sha256', pcrs: [0, 4] });
  assert.equal(quotes, 3);
  assert.deepEqual(
    heard.evidence[0]?.pcrValues,
    [0, 4].map((index) => ({ index, value: values.get(index) })),
  );
});

test('the evidence of an unchanged host stays below 1 kB on the wire', async (t) => {
  const { measurer, heard, measuring, tick } = begin(t);
  const pcrs = Array.from({ length: 16 }, (_, pcr) => pcr);
  const bootLog = Buffer.alloc(70_000, 1);
  measurer.logs.set('boot-log', bootLog);
  measurer.logs.set('userspace-log', Buffer.alloc(5_000));
  measurer.logs.set('ima-list', Buffer.alloc(100_000));
  measuring.tick(tick({ pcrs, logs: allLogs }));
  await until('answered', () => heard.evidence.length === 1);
  const knownSha256 = createHash('sha256').update(bootLog).digest();
  const logs = [
    { log: LogKind.BOOT, offset: 70_000n, knownSha256, maxBytes: 0 },
    { log: LogKind.USERSPACE, offset: 5_000n, knownSha256: new Uint8Array(), maxBytes: 0 },
    { log: LogKind.IMA, offset: 100_000n, knownSha256: new Uint8Array(), maxBytes: 0 },
  ];
  const knownPcrDigest = parseQuote(heard.evidence[0]?.attest ?? assert.fail()).pcrDigest;
  measuring.tick(tick({ seq: 2n, pcrs, logs, knownPcrDigest }));
  await until('answered again', () => heard.evidence.length === 2);
  const sizes = heard.evidence.map((evidence) => {
    const message = { case: 'evidence', value: evidenceToWire(evidence) } as const;
    return toBinary(AgentMessageSchema, create(AgentMessageSchema, { message })).length;
  });
  assert.deepEqual(
    heard.evidence[1]?.logs.map(({ state }) => state),
    ['unchanged', 'unchanged', 'unchanged'],
  );
  t.diagnostic(`evidence of an unchanged host: ${sizes[1]} bytes`);
  assert.ok(Number(sizes[0]) > 170_000);
  assert.ok(Number(sizes[1]) < 1_000, `${sizes[1]} bytes`);
});

test('what does not fit beside the quote is asked for, piece by piece', async (t) => {
  const { measurer, heard, measuring, tick } = begin(t);
  const list = Buffer.from(Array.from({ length: 2_000_000 }, (_, at) => at % 251));
  measurer.logs.set('boot-log', Buffer.alloc(100_000));
  measurer.logs.set('ima-list', list);
  measuring.tick(tick({ logs: allLogs }));
  await until('answered', () => heard.evidence.length === 1);
  const ima = heard.evidence[0]?.logs[2];
  assert.ok(ima);
  assert.equal(ima.data.length, 192 * 1024 - 100_000);
  assert.equal(ima.remaining, 2_000_000 - ima.data.length);
  const pieces = [ima.data];
  for (let offset = ima.data.length; offset < 2_000_000; ) {
    const before = heard.parts.length;
    measuring.logRequest({ log: LogKind.IMA, offset: BigInt(offset), maxBytes: 0 });
    await until('a part came', () => heard.parts.length > before);
    const part = heard.parts.at(-1);
    assert.ok(part && part.data.length <= 1024 * 1024);
    pieces.push(part.data);
    offset += part.data.length;
  }
  assert.equal(heard.parts.length, 2);
  assert.ok(list.equals(Buffer.concat(pieces)));
});

test('a log that does not fit at all brings one byte and the number of those that follow', async (t) => {
  const { measurer, heard, measuring, tick } = begin(t);
  measurer.logs.set('boot-log', Buffer.alloc(300_000));
  measurer.logs.set('ima-list', Buffer.alloc(1_000));
  measuring.tick(tick({ logs: allLogs }));
  await until('answered', () => heard.evidence.length === 1);
  const sizes = heard.evidence[0]?.logs.map(({ data, remaining }) => [data.length, remaining]);
  assert.deepEqual(sizes, [
    [196_608, 103_392],
    [0, 0],
    [1, 999],
  ]);
});

/** A chip that quotes when it is told to. */
function slowChip() {
  const tpm = genuine();
  const waiting: (() => void)[] = [];
  const device: TpmDevice = {
    ...tpm,
    async quote(...asked) {
      await new Promise<void>((resolve) => waiting.push(resolve));
      return tpm.quote(...asked);
    },
  };
  return { device, waiting };
}

test('one tick is answered at a time, and of those that wait only the newest', async (t) => {
  const { device, waiting } = slowChip();
  const { heard, measuring, tick } = begin(t, async () => device);
  measuring.tick(tick({ seq: 1n }));
  await until('the first is under way', () => waiting.length === 1);
  for (const seq of [2n, 3n, 4n]) measuring.tick(tick({ seq }));
  await settle();
  assert.equal(waiting.length, 1);
  waiting[0]?.();
  await until('the next is under way', () => waiting.length === 2);
  waiting[1]?.();
  await until('answered', () => heard.evidence.length === 2);
  await settle();
  assert.deepEqual([heard.evidence.map(({ seq }) => seq), waiting.length], [[1n, 4n], 2]);
});

test('evidence is sent until the time that the tick grants is over, counted from when it came', async (t) => {
  const { device, waiting } = slowChip();
  const { clock, heard, lines, measuring, tick } = begin(t, async () => device);
  measuring.tick(tick());
  await until('under way', () => waiting.length === 1);
  clock.advance(10_000);
  waiting[0]?.();
  await until('answered', () => heard.evidence.length === 1);
  measuring.tick(tick());
  await until('under way', () => waiting.length === 2);
  clock.advance(10_001);
  waiting[1]?.();
  await until('told', () => warnings(lines).length === 1);
  assert.deepEqual(warnings(lines), [['the evidence for a tick came too late', undefined]]);
  assert.equal(heard.evidence.length, 1);
});

test('a session that is over hears nothing more', async (t) => {
  const { device, waiting } = slowChip();
  const { heard, measuring, tick, lines } = begin(t, async () => device);
  measuring.tick(tick());
  measuring.tick(tick({ seq: 2n }));
  measuring.logRequest({ log: LogKind.IMA, offset: 0n, maxBytes: 0 });
  await until('under way', () => waiting.length === 1);
  measuring[Symbol.dispose]();
  waiting[0]?.();
  await settle();
  assert.deepEqual([heard.evidence, waiting.length, warnings(lines)], [[], 1, []]);
});

test('a chip that is busy or away leaves the tick without evidence, and the next one is answered', async (t) => {
  let opened = 0;
  const { heard, lines, measuring, tick } = begin(t, async () => {
    opened += 1;
    if (opened === 1) throw new TouchmarkError('tpm_unavailable', 'the TPM is busy');
    return genuine();
  });
  measuring.tick(tick());
  await until('told', () => warnings(lines).length === 1);
  assert.deepEqual(warnings(lines), [['no evidence for a tick', 'the TPM is busy']]);
  measuring.tick(tick({ seq: 2n }));
  await until('answered', () => heard.evidence.length === 1);
});

test('more requests for logs than a server needs are not answered', async (t) => {
  const { heard, lines, measuring } = begin(t);
  for (let request = 0; request < 10; request += 1)
    measuring.logRequest({ log: LogKind.IMA, offset: 0n, maxBytes: 1 });
  await settle();
  assert.equal(heard.parts.length, 8);
  const told = 'the server asks for more of a log before it got what it asked for';
  assert.deepEqual(warnings(lines), [
    [told, undefined],
    [told, undefined],
  ]);
  measuring.logRequest({ log: LogKind.IMA, offset: 0n, maxBytes: 1 });
  await settle();
  assert.equal(heard.parts.length, 9);
});
