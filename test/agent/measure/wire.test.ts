import assert from 'node:assert/strict';
import test from 'node:test';
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { partToWire, readLogRequest, readTick, wishOf } from '../../../src/agent/measure/wire.js';
import {
  LogKind,
  LogPartSchema,
  LogState,
  TickSchema,
} from '../../../src/wire/gen/touchmark/measure/v1/logs_pb.js';
import { until } from '../../fakes/manual-clock.js';
import { throwsCode } from '../../support/rejects.js';
import { begin, warnings } from './support.js';

type Change = MessageInitShape<typeof TickSchema>;
const imaWish = { log: LogKind.IMA, offset: 7n, maxBytes: 9 };

function tick(change: Change = {}): Uint8Array {
  const plain = { seq: 3n, nonce: Buffer.alloc(32), pcrBank: 'sha256', pcrs: [0, 23], answerWithinMs: 5 };
  return toBinary(TickSchema, create(TickSchema, { ...plain, logs: [imaWish], ...change }));
}

test('a tick is read into our own words', () => {
  const read = readTick(tick());
  assert.deepEqual([read.seq, read.withinMs, read.selection], [3n, 5, { bank: 'sha256', pcrs: [0, 23] }]);
  const knownSha256 = new Uint8Array();
  assert.deepEqual(read.wishes, [{ log: 'ima-list', offset: 7, knownSha256, maxBytes: 9 }]);
});

const senseless: readonly [what: string, change: Change, message: RegExp][] = [
  ['a short nonce', { nonce: Buffer.alloc(31) }, /^the nonce of a tick has 31 bytes instead of 32$/],
  ['SHA-1', { pcrBank: 'sha1' }, /^a tick asks for the PCR bank "sha1"$/],
  ['no bank', { pcrBank: '' }, /^a tick asks for the PCR bank ""$/],
  ['no PCR', { pcrs: [] }, /^a tick names no PCRs, or not in ascending order$/],
  ['a PCR twice', { pcrs: [4, 4] }, /not in ascending order$/],
  ['a PCR that no chip has', { pcrs: [24] }, /not in ascending order$/],
  ['an unknown log', { logs: [{ log: 9 as LogKind }] }, /^a log of the unknown kind 9 is asked for$/],
  ['no log at all', { logs: [{}] }, /^a log of the unknown kind 0 is asked for$/],
  [
    'a huge offset',
    { logs: [{ ...imaWish, offset: 2n ** 63n }] },
    /^a log is asked for from byte 9223372036854775808 on$/,
  ],
  [
    'half a hash',
    { logs: [{ ...imaWish, knownSha256: Buffer.alloc(16) }] },
    /^a SHA-256 of 16 bytes names a log$/,
  ],
  ['many logs', { logs: Array.from({ length: 9 }, () => imaWish) }, /^9 logs are asked for, there are 3$/],
];

for (const [what, change, message] of senseless) {
  test(`a tick with ${what} is refused before the chip is asked`, async (t) => {
    throwsCode('tick_invalid', message, () => readTick(tick(change)));
    let opened = 0;
    const { lines, measuring } = begin(t, async () => {
      opened += 1;
      throw new Error('no chip is needed');
    });
    measuring.tick(tick(change));
    await until('told', () => warnings(lines).length === 1);
    assert.equal(opened, 0);
  });
}

test('bytes that are no tick and no request are refused', () => {
  throwsCode('tick_invalid', /^a tick cannot be read: /, () => readTick(Buffer.from([0xff])));
  throwsCode('tick_invalid', /^a request for a log cannot be read: /, () =>
    readLogRequest(Buffer.from([0xff])),
  );
  throwsCode('tick_invalid', /^a log of the unknown kind 0 is asked for$/, () =>
    readLogRequest(Buffer.alloc(0)),
  );
  throwsCode('tick_invalid', /^a log of the unknown kind 4/, () =>
    wishOf({ log: 4, offset: 0n, maxBytes: 0 }),
  );
});

test('a request for a log that makes no sense is logged and not answered', async (t) => {
  const { heard, lines, measuring } = begin(t);
  measuring.logRequest({ log: 4, offset: 0n, maxBytes: 0 });
  const expected = ['a request for a log makes no sense', 'a log of the unknown kind 4 is asked for'];
  assert.deepEqual([warnings(lines), heard.parts], [[expected], []]);
});

test('the reason of a part travels short and on one line', () => {
  const part = {
    log: 'boot-log',
    state: 'unreadable',
    offset: 2 ** 40,
    data: Buffer.of(1),
    remaining: 5,
  } as const;
  const message = create(LogPartSchema, partToWire({ ...part, reason: `Ä\n${'x'.repeat(400)}` }));
  assert.deepEqual([message.log, message.state], [LogKind.BOOT, LogState.UNREADABLE]);
  assert.deepEqual([message.offset, message.remaining], [2n ** 40n, 5n]);
  assert.equal(message.reason, `??${'x'.repeat(298)}`);
});
