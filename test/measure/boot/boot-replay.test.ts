import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { test } from 'node:test';
import { parseBootLog } from '../../../src/measure/boot/boot-log.js';
import { replayBootBank, replayBootLog } from '../../../src/measure/boot/boot-replay.js';
import { eventType } from '../../../src/measure/boot/event-types.js';
import { agileLog, locality, type MadeEvent, separators, variable } from '../../support/boot-log-factory.js';

const version = { pcr: 0, type: eventType.crtmVersion, data: 'v1' };
const hcrtm = { pcr: 0, type: eventType.efiHcrtmEvent, data: 'HCRTM', measured: 'code' };
const replayOf = (events: readonly MadeEvent[]) => replayBootLog(parseBootLog(agileLog(events)));
/** Codes and events of the findings; all separators are added unless `events` has its own. */
const found = (...events: MadeEvent[]) =>
  replayOf([...events, ...separators()]).findings.map(({ code, event }) => [code, event]);
const shaOf = (...parts: Uint8Array[]) => hash('sha256', Buffer.concat(parts), 'hex');
const pcrOf = (events: readonly MadeEvent[], pcr: number) =>
  Buffer.from(replayOf(events).pcrs.get('sha256')?.get(pcr) ?? []).toString('hex');
const digestOf = (text: string) => hash('sha256', text, 'buffer');

function zerosWith(last: number): Buffer {
  return Buffer.from(`${'00'.repeat(31)}0${last}`, 'hex');
}

test('only PCRs that the log extends have values; PCR 17 to 22 start with ones', () => {
  const event = { pcr: 17, type: eventType.eventTag, data: 'x' };
  const { pcrs } = replayOf([event, { pcr: 23, type: eventType.eventTag, data: 'x' }]);
  assert.deepEqual([...(pcrs.get('sha1')?.keys() ?? [])], [17, 23]);
  assert.equal(pcrOf([event], 17), shaOf(Buffer.alloc(32, 0xff), digestOf('x')));
  assert.equal(pcrOf([{ ...event, pcr: 23 }], 23), shaOf(Buffer.alloc(32), digestOf('x')));
});

test('an event without a digest of one bank costs its PCR in that bank, and nothing else', () => {
  const sha1Only = [[0x4, hash('sha1', 'x', 'buffer')]] as const;
  const gap = { pcr: 5, type: eventType.efiAction, data: 'x', digests: sha1Only };
  const around = [...separators(), version];
  const { pcrs, gaps, findings } = replayOf([...around, gap, ...separators('00000000', [5])]);
  const whole = replayOf(around);
  assert.deepEqual([...(pcrs.get('sha1')?.keys() ?? [])], [0, 1, 2, 3, 4, 5, 6, 7]);
  assert.deepEqual([...(pcrs.get('sha256')?.keys() ?? [])], [0, 1, 2, 3, 4, 6, 7]);
  for (const pcr of [0, 1, 2, 3, 4, 6, 7]) {
    assert.deepEqual(pcrs.get('sha256')?.get(pcr), whole.pcrs.get('sha256')?.get(pcr));
  }
  const found = {
    code: 'bank_incomplete',
    event: 9,
    message: 'event 9 has no sha256 digest, so PCR 5 of sha256 is not replayed',
  };
  assert.deepEqual(gaps, new Map([['sha256', new Map([[5, found]])]]));
  assert.deepEqual(
    findings.filter(({ code }) => code === 'bank_incomplete'),
    [found],
  );
});

test('one bank is replayed as among all of them; one that the log does not have is none', () => {
  const log = parseBootLog(agileLog([locality(3), version, ...separators()]));
  const whole = replayBootLog(log);
  assert.deepEqual(replayBootBank(log, 'sha256')?.values, whole.pcrs.get('sha256'));
  assert.equal(replayBootBank(log, 'sha384'), undefined);
  const sha1Only = parseBootLog(agileLog([{ ...version, digests: [[0x4, hash('sha1', 'x', 'buffer')]] }]));
  assert.equal(replayBootBank(sha1Only, 'sha256'), undefined);
});

test('EV_NO_ACTION extends nothing, whatever it says', () => {
  const noise = { pcr: 0, type: eventType.noAction, data: 'anything' };
  assert.equal(pcrOf([noise, version, noise], 0), pcrOf([version], 0));
});

test('PCR 0 starts at the startup locality', () => {
  for (const value of [0, 3, 4]) {
    const replay = replayOf([locality(value), version]);
    assert.equal(replay.startupLocality, value);
    assert.equal(pcrOf([locality(value), version], 0), shaOf(zerosWith(value), digestOf('v1')));
  }
});

test('an H-CRTM before all else lets PCR 0 start at 4', () => {
  assert.equal(pcrOf([hcrtm], 0), shaOf(zerosWith(4), digestOf('code')));
  assert.deepEqual(found(hcrtm, version), []);
  assert.deepEqual(found(locality(4), hcrtm), []);
  assert.deepEqual(found(locality(3), hcrtm), [['startup_locality_conflict', 1]]);
  assert.deepEqual(found(version, hcrtm), [['hcrtm_late', 1]]);
});

test('a startup locality that breaks a rule is left aside and found', () => {
  const cases: [MadeEvent[], string, number, number][] = [
    [[version, locality(3)], 'startup_locality_late', 1, 0],
    [[locality(3), locality(0), version], 'startup_locality_repeated', 1, 3],
    [[locality(2), version], 'startup_locality_invalid', 0, 0],
    [[{ pcr: 0, type: eventType.noAction, data: 'StartupLocality\0' }], 'startup_locality_invalid', 0, 0],
  ];
  for (const [events, code, event, value] of cases) {
    assert.deepEqual(found(...events), [[code, event]]);
    assert.equal(replayOf(events).startupLocality, value, code);
  }
});

test('data that does not hash to its digest is found where the type says that it should', () => {
  const checkable = [
    { pcr: 0, type: eventType.crtmVersion },
    { pcr: 1, type: eventType.efiVariableBoot, data: variable('Boot0000', 'x') },
    { pcr: 1, type: eventType.efiVariableBoot2, data: variable('Boot0000', 'x') },
    { pcr: 4, type: eventType.efiAction },
    { pcr: 5, type: eventType.efiGptEvent },
    { pcr: 7, type: eventType.efiVariableDriverConfig, data: variable('SecureBoot', '\x01') },
    { pcr: 7, type: eventType.efiVariableAuthority, data: variable('db', 'x') },
    { pcr: 8, type: eventType.ipl, data: 'grub_cmd: linux /vmlinuz\0' },
  ];
  for (const event of checkable) {
    const wrong = { ...event, measured: 'something else' };
    assert.deepEqual(found(wrong), [['digest_mismatch', 0]], `${event.type}`);
  }
  const [finding] = replayOf([{ ...version, measured: 'v2' }]).findings.filter(({ event }) => event === 0);
  assert.equal(
    finding?.message,
    'event 0 in PCR 0 (EV_S_CRTM_VERSION) has data that does not hash to its sha1, sha256 digest',
  );
});

test('a digest that is false in one bank only is found', () => {
  const digests = [
    [0x4, hash('sha1', 'v1', 'buffer')],
    [0xb, digestOf('v2')],
  ] as const;
  const [finding] = replayOf([{ ...version, digests }, ...separators()]).findings;
  assert.match(finding?.message ?? '', /does not hash to its sha256 digest$/);
});

test('what only labels code, or is measured in the known other ways, is no finding', () => {
  const shim = variable('Shim', 'certificate+');
  const fine: MadeEvent[] = [
    { pcr: 0, type: eventType.efiPlatformFirmwareBlob, data: 'address', measured: 'volume' },
    { pcr: 0, type: eventType.postCode, data: 'ACPI DATA', measured: 'tables' },
    { pcr: 4, type: eventType.efiBootServicesApplication, data: 'path', measured: 'image' },
    { pcr: 9, type: eventType.ipl, data: '/vmlinuz\0', measured: 'file' },
    { pcr: 8, type: eventType.ipl, data: 'kernel_cmdline: quiet\0', measured: 'quiet' },
    { pcr: 1, type: eventType.efiVariableBoot, data: variable('BootOrder', 'xy'), measured: 'xy' },
    { pcr: 7, type: eventType.efiVariableAuthority, data: shim, measured: shim.subarray(0, -1) },
  ];
  assert.deepEqual(found(...fine), []);
  const other = variable('Other', 'certificate+');
  assert.deepEqual(
    found({ pcr: 7, type: eventType.efiVariableAuthority, data: other, measured: other.subarray(0, -1) }),
    [['digest_mismatch', 0]],
  );
});

test('boot variables with impossible lengths are found, not followed', () => {
  const data = variable('Boot0000', 'x');
  data.fill(0xff, 16, 32);
  const event = { pcr: 1, type: eventType.efiVariableBoot, data, measured: 'x' };
  assert.deepEqual(found(event), [['digest_mismatch', 0]]);
  assert.deepEqual(found({ ...event, data: 'short' }), [['digest_mismatch', 0]]);
});

test('separators: one in each PCR of the firmware, with a value that means success', () => {
  const separator = { pcr: 4, type: eventType.separator };
  const codes = (events: MadeEvent[]) => replayOf(events).findings.map(({ code, event }) => [code, event]);
  const others = separators('ffffffff', [0, 1, 2, 3, 5, 6, 7]);
  assert.deepEqual(codes(others), [['separator_missing', null]]);
  assert.deepEqual(codes([...separators(), ...separators('00000000', [4])]), [['separator_repeated', 8]]);
  const failed = { ...separator, data: 'info', measured: Buffer.from('00000001', 'hex') };
  assert.deepEqual(codes([...others, failed]), [['separator_error', 7]]);
  assert.deepEqual(codes([...others, { ...separator, data: 'okay' }]), [['separator_value', 7]]);
});

test('unknown types in PCR 0, 4 and 7 are found, elsewhere they are not', () => {
  for (const pcr of [0, 4, 7]) {
    assert.deepEqual(found({ pcr, type: 0x8401, data: 'x' }), [['event_type_unexpected', 0]], `${pcr}`);
  }
  assert.deepEqual(found({ pcr: 2, type: 0x8401, data: 'x' }), []);
  const debug = { pcr: 7, type: eventType.efiAction, data: 'UEFI Debug Mode' };
  assert.deepEqual(found(debug), [['event_type_unexpected', 0]]);
});

test('a Secure Boot variable after the separator is found, an authority there is not', () => {
  const data = variable('db', 'x');
  const late = { pcr: 7, type: eventType.efiVariableDriverConfig, data };
  const authority = { pcr: 7, type: eventType.efiVariableAuthority, data };
  const { findings } = replayOf([...separators(), late, authority]);
  assert.deepEqual(
    findings.map(({ code, event }) => [code, event]),
    [['variable_after_separator', 8]],
  );
});
