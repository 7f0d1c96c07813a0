import assert from 'node:assert/strict';
import { test } from 'node:test';
import { appraise } from '../../../src/measure/appraise/appraise.js';
import { parseBootLog } from '../../../src/measure/boot/boot-log.js';
import { replayBootLog } from '../../../src/measure/boot/boot-replay.js';
import { eventType } from '../../../src/measure/boot/event-types.js';
import type { SecureBootRule } from '../../../src/measure/policy/model.js';
import {
  action,
  authorised,
  authority,
  bootEvents,
  configuration,
  globalVariable,
  securityVariable,
  shimVariable,
  signatureList,
} from '../../support/appraisal-boot.js';
import { goodReferences, referenceSet, resolved, secureBootRule } from '../../support/appraisal-factory.js';
import { evidenceOf, sha256 } from '../../support/appraisal-host.js';
import { codesOf, componentOf, judge } from '../../support/appraisal-judge.js';
import type { MadeEvent } from '../../support/boot-log-factory.js';
import { haveVectors, readVector } from '../../support/vectors.js';

const isSeparator = ({ pcr, type }: MadeEvent) => pcr === 7 && type === eventType.separator;
const named = (name: string) => (event: MadeEvent) =>
  event.pcr === 7 &&
  Buffer.from(event.data ?? '')
    .toString('utf16le', 32)
    .startsWith(name);

/** The good log with more in PCR 7 before the separator, or after everything. */
function before(...events: MadeEvent[]): MadeEvent[] {
  const at = bootEvents.findIndex(isSeparator);
  return [...bootEvents.slice(0, at), ...events, ...bootEvents.slice(at)];
}
const after = (...events: MadeEvent[]) => [...bootEvents, ...events];
function instead(which: (event: MadeEvent) => boolean, ...by: MadeEvent[]): MadeEvent[] {
  const at = bootEvents.findIndex(which);
  assert.ok(at >= 0);
  return [...bootEvents.slice(0, at), ...by, ...bootEvents.slice(at + 1)];
}
const codes = (boot: MadeEvent[], rule: Partial<SecureBootRule> = {}) =>
  codesOf(judge({ boot }, { secureBoot: { ...secureBootRule, ...rule } }), 'secure-boot');

test('Secure Boot must be on, and measured, where the policy asks for it', () => {
  const off = instead(named('SecureBoot'), configuration(globalVariable('SecureBoot', '\x00')));
  assert.deepEqual(codes(off), ['secure_boot_off']);
  assert.deepEqual(codes(off, { enabled: false }), []);
  assert.deepEqual(codes(instead(named('SecureBoot'))), ['secure_boot_unmeasured']);
  const foreign = securityVariable('SecureBoot', '\x01');
  assert.deepEqual(codes(instead(named('SecureBoot'), configuration(foreign))), [
    'variable_unexpected',
    'secure_boot_unmeasured',
  ]);
});

test('an accepted digest does not turn Secure Boot on', () => {
  const value = globalVariable('SecureBoot', '\x00');
  assert.deepEqual(codes(instead(named('SecureBoot'), configuration(value)), { accept: [sha256(value)] }), [
    'secure_boot_off',
  ]);
});

test('setup mode, audit mode and a debugger are refused', () => {
  assert.deepEqual(codes(before(configuration(globalVariable('SetupMode', '\x01')))), ['secure_boot_mode']);
  assert.deepEqual(codes(before(configuration(globalVariable('AuditMode', '\x01')))), ['secure_boot_mode']);
  assert.deepEqual(codes(before(configuration(globalVariable('SetupMode', '\x00')))), []);
  assert.deepEqual(codes(before(action(7, 'UEFI Debug Mode'))), ['firmware_debug_mode']);
  const relabelled = { pcr: 7, type: eventType.compactHash, data: 'x', measured: 'UEFI Debug Mode' };
  assert.deepEqual(codes(before(relabelled)), ['firmware_debug_mode'], 'by its digest');
});

test('variables: data that was not measured, twice, late, malformed and unknown ones are refused', () => {
  const dbx = configuration(securityVariable('dbx', signatureList(Buffer.alloc(32, 1))));
  assert.deepEqual(codes(before(dbx)), ['variable_repeated']);
  assert.deepEqual(codes(after(configuration(globalVariable('DeployedMode', '\x01')))), [
    'variable_after_separator',
  ]);
  const lie = configuration(globalVariable('SecureBoot', '\x01'));
  assert.deepEqual(
    codes(instead(named('SecureBoot'), { ...lie, measured: globalVariable('SecureBoot', '\x00') })),
    ['event_data_mismatch', 'secure_boot_unmeasured'],
  );
  assert.deepEqual(codes(before(configuration(Buffer.from('short')))), ['variable_malformed']);
  const broken = configuration(securityVariable('dbr', Buffer.alloc(30, 1)));
  assert.deepEqual(codes(before(broken)), ['variable_malformed']);
  const vendor = globalVariable('VendorKeys', '\x01');
  assert.deepEqual(codes(before(configuration(vendor))), ['variable_unexpected']);
  assert.deepEqual(codes(before(configuration(vendor)), { accept: [sha256(vendor)] }), []);
  assert.deepEqual(codes(before({ pcr: 7, type: 0x8401, data: 'vendor' })), ['event_digest_unknown']);
});

test('separators: exactly one, of the right value', () => {
  const separator = (data: string): MadeEvent => ({
    pcr: 7,
    type: eventType.separator,
    data: Buffer.from(data, 'hex'),
  });
  assert.deepEqual(codes(instead(isSeparator)), ['separator_missing']);
  assert.deepEqual(codes(after(separator('00000000'))), ['separator_repeated']);
  assert.deepEqual(codes(after(separator('ffffffff'))), ['separator_repeated']);
  assert.deepEqual(codes(instead(isSeparator, separator('00000001'))), ['separator_error']);
  assert.deepEqual(codes(instead(isSeparator, separator('12345678'))), ['separator_value']);
});

test('keys: PK, KEK and db hold nothing that is not named, and are there', () => {
  const rows = [
    ['platformKeys', 'platform_key_unknown', ['platform key']],
    ['keyExchangeKeys', 'key_exchange_key_unknown', ['exchange key']],
    ['allowed', 'db_entry_unknown', ['vendor certificate', 'own certificate']],
  ] as const;
  for (const [list, code, contents] of rows) {
    assert.deepEqual(codes([...bootEvents], { [list]: contents.map(sha256) }), []);
    assert.deepEqual(
      codes([...bootEvents], { [list]: [sha256('another'), ...contents.slice(1).map(sha256)] }),
      [code],
    );
  }
  assert.deepEqual(codes(instead(named('PK'))), ['key_missing']);
  assert.deepEqual(codes(instead(named('KEK'), configuration(globalVariable('KEK', '')))), ['key_missing']);
});

test('dbx holds at least what the policy asks for, by the digest that it revokes or by its SHA-256', () => {
  const one = `sha256:${'01'.repeat(32)}`;
  assert.deepEqual(codes([...bootEvents], { revokedAtLeast: [one, sha256(Buffer.alloc(32, 2))] }), []);
  const missing = codes([...bootEvents], { revokedAtLeast: [one, `sha256:${'03'.repeat(32)}`] });
  assert.deepEqual(missing, ['dbx_entry_missing']);
  const emptied = instead(named('dbx'), configuration(securityVariable('dbx', '')));
  assert.deepEqual(codes(emptied, { revokedAtLeast: [one] }), ['dbx_entry_missing']);
  assert.deepEqual(codes(instead(named('dbx')), { revokedAtLeast: [one] }), ['key_missing']);
});

test('authorities: what vouched for an image must be in db, or be one that shim names', () => {
  const own = securityVariable('db', authority('own certificate'));
  assert.deepEqual(codes(after(authorised(own))), []);
  assert.deepEqual(codes(after(authorised(securityVariable('db', authority('stranger'))))), [
    'authority_unknown',
  ]);
  const shim = shimVariable('Shim', 'vendor key');
  assert.deepEqual(codes(after(authorised(shim))), []);
  const allowed = ['vendor certificate', 'own certificate'].map(sha256);
  assert.deepEqual(codes(after(authorised(shim)), { allowed }), ['authority_unknown']);
  assert.deepEqual(codes(after(authorised(shim)), { allowed: [...allowed, sha256('vendor key')] }), []);
  assert.deepEqual(codes(after(authorised(shimVariable('Other', 'x')))), ['authority_unknown']);
  assert.deepEqual(codes(after(authorised(shimVariable('MokSBState', '\x01')))), ['shim_validation_off']);
  assert.deepEqual(codes(after(authorised(shimVariable('MokListTrusted', '\x01')))), []);
  const unvouched = [
    ...bootEvents.filter(({ type }) => type !== eventType.efiVariableAuthority),
    authorised(shim),
  ];
  assert.deepEqual(codes(unvouched), ['authority_unknown'], 'nothing vouched for shim itself');
});

test('authorities: shim logs its certificate with one byte more than it measured, and nobody else may', () => {
  const logged = (name: string): MadeEvent => {
    const measured = shimVariable(name, 'vendor key');
    return { ...authorised(Buffer.concat([measured, Buffer.of(0)])), measured };
  };
  assert.deepEqual(codes(after(logged('Shim'))), []);
  assert.deepEqual(codes(after(logged('MokList'))), ['event_data_mismatch']);
});

test('SBAT: the level has at least the date that is asked for', () => {
  const level = (date: string) => authorised(shimVariable('SbatLevel', `sbat,1,${date}\nshim,2\n`));
  const rule = { sbatLevelAtLeast: '2023012900' };
  assert.deepEqual(codes(after(level('2023012900')), rule), []);
  assert.deepEqual(codes(after(level('2021030218')), rule), ['sbat_level_low']);
  assert.deepEqual(codes([...bootEvents], rule), ['sbat_level_missing']);
  assert.deepEqual(codes(after(authorised(shimVariable('SbatLevel', 'sbat')))), ['variable_malformed']);
});

test('an empty PCR 7 is unknown, and its digest set alone accepts a whole event', () => {
  const nothing = judge({ boot: bootEvents.filter(({ pcr }) => pcr !== 7) });
  assert.equal(componentOf(nothing, 'secure-boot').result, 'unknown');
  assert.deepEqual(codesOf(nothing, 'secure-boot'), ['nothing_measured']);
  const odd: MadeEvent = { pcr: 7, type: eventType.compactHash, data: 'odd' };
  const set = referenceSet({ secureBoot: [{ digest: sha256('odd'), label: '' }] });
  assert.deepEqual(codesOf(judge({ boot: before(odd) }, {}, goodReferences, set), 'secure-boot'), []);
});

/** A boot log of another project, judged as if a chip had quoted what it replays to. */
function judgeLog(bytes: Buffer, genuine: Buffer, rule: Partial<SecureBootRule> = {}) {
  const pcrs = replayBootLog(parseBootLog(genuine)).pcrs.get('sha256') ?? new Map<number, Uint8Array>();
  const policy = resolved({ secureBoot: { ...secureBootRule, ...rule } });
  return appraise(evidenceOf(pcrs, { bootLog: bytes }), undefined, policy);
}

test('logs of shipped machines: on, off, and with shim', (t) => {
  if (!haveVectors(t)) return;
  const rows = [
    ['vm_secureboot', { sbatLevelAtLeast: '2023012900' }, []],
    ['vm_secureboot', { sbatLevelAtLeast: '2024010900' }, ['sbat_level_low']],
    ['glinux_locality3', { enabled: false }, []],
    ['ubuntu2104_no_secureboot', { enabled: false }, []],
    ['coreos36_gce_no_secureboot', { enabled: false }, []],
    ['baremetal_locality3_hpe_like', { enabled: false }, []],
  ] as const;
  for (const [name, rule, expected] of rows) {
    const bytes = readVector(`eventlog/${name}.bin`);
    assert.deepEqual(codesOf(judgeLog(bytes, bytes, rule), 'secure-boot'), expected, name);
  }
  for (const name of ['ubuntu2104_no_secureboot', 'baremetal_locality3_hpe_like']) {
    const bytes = readVector(`eventlog/${name}.bin`);
    assert.ok(codesOf(judgeLog(bytes, bytes), 'secure-boot').includes('secure_boot_off'), name);
  }
});

test('attack files: a flipped type and flipped data in PCR 7, a log that is cut off', (t) => {
  if (!haveVectors(t)) return;
  const genuine = readVector('eventlog/vm_secureboot.bin');
  const attack = (name: string) => judgeLog(readVector(`generated/attack/${name}.bin`), genuine);
  for (const [name, code] of [
    ['eventlog_secureboot_data_flipped', 'event_data_mismatch'],
    ['eventlog_truncated', 'boot_log_unreadable'],
    ['eventlog_huge_digest_count', 'boot_log_unreadable'],
  ] as const) {
    const result = attack(name);
    assert.equal(result.verdict, 'drifted', name);
    assert.ok(codesOf(result, 'secure-boot').includes(code), name);
  }
  const flipped = attack('eventlog_pcr7_type_flip');
  assert.equal(flipped.verdict, 'drifted');
  const { reasons } = componentOf(flipped, 'secure-boot');
  const unknown = reasons.filter(({ code }) => code === 'event_digest_unknown').map(({ event }) => event);
  assert.deepEqual(unknown, [3, 4, 5, 6, 7, 26, 31, 33]);
  const codes = new Set(codesOf(flipped, 'secure-boot'));
  assert.deepEqual(
    [...codes],
    ['pcr_unexplained', 'event_digest_unknown', 'variable_after_separator', 'separator_repeated'],
  );
});
