import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { test } from 'node:test';
import { parseBootLog } from '../../../src/measure/boot/boot-log.js';
import { replayBootLog } from '../../../src/measure/boot/boot-replay.js';
import { eventType } from '../../../src/measure/boot/event-types.js';
import { MAX_USERSPACE_LOG, parseUserspaceLog } from '../../../src/measure/userspace/userspace-log.js';
import { replayUserspaceLog } from '../../../src/measure/userspace/userspace-replay.js';
import { agileLog } from '../../support/boot-log-factory.js';
import { throwsCode } from '../../support/rejects.js';
import { record, userspaceLog } from '../../support/userspace-log-factory.js';

const replay = (...records: object[]) => replayUserspaceLog(parseUserspaceLog(userspaceLog(...records)));
const codes = (...records: object[]) => replay(...records).findings.map(({ code, event }) => [code, event]);

test('phases go on from the PCR values that are given', () => {
  const log = parseUserspaceLog(userspaceLog(record(11, 'enter-initrd'), record(11, 'leave-initrd')));
  const before = hash('sha256', 'what the stub measured', 'buffer');
  const start = { pcrs: new Map([['sha256' as const, new Map([[11, before]])]]), gaps: new Map() };
  const first = hash('sha256', Buffer.concat([before, hash('sha256', 'enter-initrd', 'buffer')]), 'buffer');
  const second = hash('sha256', Buffer.concat([first, hash('sha256', 'leave-initrd', 'buffer')]), 'hex');
  const { pcrs, findings } = replayUserspaceLog(log, start);
  assert.deepEqual([...pcrs.keys()], ['sha256']);
  assert.deepEqual([...(pcrs.get('sha256')?.keys() ?? [])], [11]);
  assert.equal(Buffer.from(pcrs.get('sha256')?.get(11) ?? []).toString('hex'), second);
  assert.deepEqual(findings, []);
});

test('a record is kept whole, with its kind and text', () => {
  const [event] = parseUserspaceLog(userspaceLog(record(15, 'machine-id:abc', 'machine-id'))).events;
  assert.deepEqual([event?.pcr, event?.eventType, event?.text], [15, 'machine-id', 'machine-id:abc']);
});

test('a log without records is one; a measurement into an NV index extends no PCR', () => {
  assert.deepEqual(parseUserspaceLog(new Uint8Array()).events, []);
  const { pcr: _, ...rest } = record(11, 'x');
  const { pcrs, findings } = replay({ ...rest, nv_index: 0x01d10200 });
  assert.deepEqual([[...pcrs], findings], [[], []]);
});

test('text that does not hash to its digest is found, but not under a key', () => {
  const lie = { ...record(11, 'sysinit'), digests: record(11, 'ready').digests };
  assert.deepEqual(codes(record(11, 'enter-initrd'), lie), [['digest_mismatch', 1]]);
  const { content, ...volume } = record(15, 'x');
  const key = { ...volume, content: { string: 'cryptsetup:root', eventType: 'volume-key' } };
  assert.deepEqual(codes({ ...key, content: { ...content, ...key.content } }), []);
});

test('other PCRs, other content and incomplete banks are found', () => {
  assert.deepEqual(codes(record(7, 'x')), [['pcr_unexpected', 0]]);
  assert.deepEqual(codes({ ...record(11, 'x'), content_type: 'pcclient_std' }), [
    ['content_type_unknown', 0],
  ]);
  const sha1 = { hashAlg: 'sha1', digest: hash('sha1', 'x', 'hex') };
  const both = { ...record(11, 'x'), digests: [...record(11, 'x').digests, sha1] };
  const { pcrs, findings } = replay(both, record(11, 'y'));
  assert.deepEqual([...pcrs.keys()], ['sha256']);
  assert.deepEqual(
    findings.map(({ message }) => message),
    ['event 1 has no sha1 digest, so PCR 11 of sha1 is not replayed'],
  );
  const sm3 = { hashAlg: 'sm3_256', digest: '00' };
  assert.deepEqual(codes({ ...record(11, 'x'), digests: [sm3] }), [['bank_unsupported', null]]);
});

test("a register that the firmware's log does not tell is not gone on with; the others are", () => {
  const section = { pcr: 12, type: eventType.ipl, data: 'x' };
  const gap = { ...section, pcr: 11, digests: [[0x4, hash('sha1', 'x', 'buffer')]] as const };
  const firmware = replayBootLog(parseBootLog(agileLog([gap, section])));
  const log = parseUserspaceLog(userspaceLog(record(11, 'sysinit'), record(12, 'x'), record(11, 'ready')));
  const { pcrs, findings } = replayUserspaceLog(log, firmware);
  assert.deepEqual([...(pcrs.get('sha256')?.keys() ?? [])], [12]);
  assert.deepEqual(findings, [
    {
      code: 'bank_incomplete',
      event: 0,
      message: 'event 0 goes on from a value that is not known, so PCR 11 of sha256 is not replayed',
    },
  ]);
});

test('a record that is cut off is refused', () => {
  const bytes = userspaceLog(record(11, 'x'), record(11, 'y'));
  throwsCode('userspace_log_truncated', /record 1 of the userspace log is cut off/, () =>
    parseUserspaceLog(bytes.subarray(0, -3)),
  );
});

test('what is too large is refused unread', () => {
  throwsCode('userspace_log_too_large', /has 2097153 bytes, at most 2097152/, () =>
    parseUserspaceLog(new Uint8Array(MAX_USERSPACE_LOG + 1)),
  );
  throwsCode('userspace_log_too_large', /record 0 of the userspace log has \d+ bytes, more than 65536/, () =>
    parseUserspaceLog(userspaceLog(record(11, 'x'.repeat(70_000)))),
  );
});

test('records that are not of that form are refused', () => {
  const good = record(11, 'x');
  const [digest] = good.digests;
  const cases: [RegExp, object][] = [
    [/names no PCR/, { ...good, pcr: undefined }],
    [/names PCR "24"/, { ...good, pcr: 24 }],
    [/names PCR "1.5"/, { ...good, pcr: 1.5 }],
    [/names PCR "11"/, { ...good, pcr: '11' }],
    [/names a PCR and an NV index/, { ...good, nv_index: 1 }],
    [/has no list of 1 to 16 digests/, { ...good, digests: [] }],
    [/has no list of 1 to 16 digests/, { ...good, digests: Array(17).fill(digest) }],
    [/has two digests of "sha256"/, { ...good, digests: [digest, digest] }],
    [/has a digest without hashAlg/, { ...good, digests: ['x'] }],
    [/"sha256" digest that is not 32 bytes in hex/, { ...good, digests: [{ ...digest, digest: '00' }] }],
    [/"x" digest that is not 1 to 64 bytes/, { ...good, digests: [{ hashAlg: 'x', digest: 'no' }] }],
    [/has no text as content_type/, { ...good, content_type: 1 }],
    [/has no text as string/, { ...good, content: { string: 1 } }],
  ];
  for (const [message, value] of cases) {
    throwsCode('userspace_log_invalid', message, () => parseUserspaceLog(userspaceLog(value)));
  }
  throwsCode('userspace_log_invalid', /record 0 of the userspace log does not begin with the byte 1e/, () =>
    parseUserspaceLog(Buffer.from('{}\n')),
  );
  throwsCode('userspace_log_invalid', /record 0 of the userspace log is no JSON object/, () =>
    parseUserspaceLog(Buffer.from('\x1enot json\n')),
  );
});
