import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_BOOT_LOG, parseBootLog } from '../../../src/measure/boot/boot-log.js';
import { eventType, eventTypeName } from '../../../src/measure/boot/event-types.js';
import { agileLog, algorithms, separators, sha1Log, u32 } from '../../support/boot-log-factory.js';
import { throwsCode } from '../../support/rejects.js';

const one = { pcr: 4, type: eventType.efiAction, data: 'Calling EFI Application from Boot Option' };
const sha256 = (size = 32): readonly [number, Uint8Array] => [0xb, new Uint8Array(size)];

test('an event is kept with its type, its data and the digests of every bank', () => {
  const log = parseBootLog(agileLog([...separators(), one]));
  const last = log.events[8];
  assert.equal(log.format, 'crypto-agile');
  assert.deepEqual([last?.index, last?.pcr, last?.type], [8, 4, 0x80000007]);
  assert.deepEqual([...(last?.digests.keys() ?? [])], ['sha1', 'sha256']);
  assert.equal(Buffer.from(last?.data ?? []).toString(), one.data);
  assert.equal(log.specId?.version, '2.0 errata 0');
});

test('a log without Spec ID has SHA-1 only, its first event counts', () => {
  const log = parseBootLog(sha1Log([one, one]));
  assert.equal(log.format, 'sha1-tpm12');
  assert.equal(log.specId, undefined);
  assert.deepEqual(
    log.events.map(({ digests }) => [...digests.keys()]),
    [['sha1'], ['sha1']],
  );
});

test('an algorithm that cannot be computed here is kept under its number', () => {
  const digests = [sha256(), [0x12, new Uint8Array(32)]] as const;
  const log = parseBootLog(agileLog([{ ...one, digests }], [algorithms.sha256, [0x12, 32]]));
  assert.deepEqual([...(log.events[0]?.digests.keys() ?? [])], ['sha256', '0x0012']);
});

test('zeros at the end are padding, anything else is refused', () => {
  const bytes = agileLog([one]);
  assert.equal(parseBootLog(Buffer.concat([bytes, Buffer.alloc(4096)])).events.length, 1);
  for (const garbage of ['x', 'garbage that goes on for longer than an event header']) {
    throwsCode('boot_log_truncated', /is cut off: \d+ bytes wanted at offset \d+ of \d+/, () =>
      parseBootLog(Buffer.concat([sha1Log([one]), Buffer.from(garbage)])),
    );
  }
  throwsCode('boot_log_invalid', /has 1734435425 digests in event 1, its header lists 2/, () =>
    parseBootLog(Buffer.concat([bytes, Buffer.alloc(8), Buffer.from('abag')])),
  );
});

test('what is empty, too large or cut off anywhere is refused', () => {
  throwsCode('boot_log_invalid', /is empty/, () => parseBootLog(new Uint8Array()));
  throwsCode('boot_log_invalid', /is empty/, () => parseBootLog(new Uint8Array(64)));
  throwsCode('boot_log_too_large', /has 2097153 bytes, at most 2097152 are read/, () =>
    parseBootLog(new Uint8Array(MAX_BOOT_LOG + 1)),
  );
  const bytes = agileLog([one]);
  const header = agileLog([]).length;
  for (let length = 5; length < bytes.length; length++) {
    if (length === header) continue;
    throwsCode(
      'boot_log_truncated',
      /is cut off/,
      () => parseBootLog(bytes.subarray(0, length)),
      `${length}`,
    );
  }
});

test('counts and sizes are refused before anything is made for them', () => {
  const huge = Buffer.concat([u32(4), u32(eventType.efiAction), u32(0x7fffffff)]);
  throwsCode('boot_log_invalid', /has 2147483647 digests in event 0, its header lists 2/, () =>
    parseBootLog(Buffer.concat([agileLog([]), huge])),
  );
  const data = Buffer.concat([u32(4), u32(eventType.efiAction), Buffer.alloc(20), u32(0xffffffff)]);
  throwsCode('boot_log_truncated', /4294967295 bytes wanted/, () => parseBootLog(data));
  throwsCode('boot_log_invalid', /lists 65535 algorithms, 1 to 16 are allowed/, () =>
    parseBootLog(agileLog([], [algorithms.sha1], 65535)),
  );
  throwsCode('boot_log_invalid', /lists 0 algorithms/, () => parseBootLog(agileLog([], [])));
});

test('an algorithm is listed once, with its own size', () => {
  const list =
    (...listed: [number, number][]) =>
    () =>
      parseBootLog(agileLog([], listed));
  throwsCode('boot_log_invalid', /lists an algorithm twice/, list([4, 20], [4, 20]));
  throwsCode('boot_log_invalid', /gives sha256 digests of 20 bytes, they have 32/, list([0xb, 20]));
  throwsCode('boot_log_invalid', /gives 0x0012 digests of 65 bytes/, list([0x12, 65]));
  throwsCode('boot_log_invalid', /gives 0x0012 digests of 0 bytes/, list([0x12, 0]));
});

test('digests are of listed algorithms, each once', () => {
  const digests = (...list: (readonly [number, Uint8Array])[]) => {
    return () => parseBootLog(agileLog([{ ...one, digests: list }]));
  };
  throwsCode('boot_log_invalid', /has two sha256 digests in event 0/, digests(sha256(), sha256()));
  throwsCode('boot_log_invalid', /unlisted algorithm 0x000c in event 0/, digests([0xc, new Uint8Array(48)]));
  throwsCode('boot_log_invalid', /has 0 digests in event 0/, digests());
});

test('a PCR beyond 23 is refused, unless the event extends nothing', () => {
  throwsCode('boot_log_invalid', /names PCR 24 in event 0, there are 0 to 23/, () =>
    parseBootLog(agileLog([{ ...one, pcr: 24 }])),
  );
  const log = parseBootLog(agileLog([{ pcr: 0xffffffff, type: eventType.noAction, data: 'SP800-155' }]));
  assert.equal(log.events[0]?.pcr, 0xffffffff);
});

test('types have the names of the specification', () => {
  const names = [3, 8, 0x80000001, 0x8000000c, 0x8401].map(eventTypeName);
  const expected = ['EV_NO_ACTION', 'EV_S_CRTM_VERSION', 'EV_EFI_VARIABLE_DRIVER_CONFIG'];
  assert.deepEqual(names, [...expected, 'EV_EFI_VARIABLE_BOOT2', '0x00008401']);
});
