import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type PcrBanks, pcrsAsJson } from '../../../src/measure/banks.js';
import { parseBootLog } from '../../../src/measure/boot/boot-log.js';
import { type BootReplay, replayBootLog } from '../../../src/measure/boot/boot-replay.js';
import { throwsCode } from '../../support/rejects.js';
import { haveVectors, readVector } from '../../support/vectors.js';

interface Expected {
  readonly info?: { readonly format: string };
  readonly events?: number;
  readonly pcrs?: Record<string, Record<string, string>>;
  readonly startup_locality?: number;
}

/** Logs that are parts of logs, or made for one property: they lack what a whole boot has. */
const partial = ['sb_cert_partial', 'short_no_action', 'one_uefiaction_4banks'];

function replayed(name: string): BootReplay {
  return replayBootLog(parseBootLog(readVector(name)));
}

function codes({ findings }: BootReplay): [string, number | null][] {
  return findings.map(({ code, event }) => [code, event]);
}

function pcrsOf(pcrs: PcrBanks): Record<string, Record<string, string>> {
  return pcrsAsJson(pcrs);
}

test('every log of the collection has its recorded events, PCRs and startup locality', (t) => {
  if (!haveVectors(t)) return;
  const all = JSON.parse(readVector('expected.json').toString()) as Record<string, Expected>;
  const logs = Object.entries(all).filter(([name, { pcrs }]) => name.includes('eventlog') && pcrs);
  assert.equal(logs.length, 22);
  for (const [name, expected] of logs) {
    const log = parseBootLog(readVector(name));
    const replay = replayBootLog(log);
    assert.deepEqual(pcrsOf(replay.pcrs), expected.pcrs, name);
    assert.equal(replay.startupLocality, expected.startup_locality, name);
    if (expected.events !== undefined) assert.equal(log.events.length, expected.events, name);
    if (expected.info) assert.equal(log.format, expected.info.format, name);
    const whole = name.startsWith('eventlog/') && !partial.some((part) => name.includes(part));
    if (whole) assert.deepEqual(replay.findings, [], name);
  }
});

test('the log of a booted VM gives what its TPM held', (t) => {
  if (!haveVectors(t)) return;
  const held = JSON.parse(readVector('generated/vm/pcrs-sha256.json').toString());
  const { pcrs, findings } = replayed('generated/vm/bios.bin');
  const values = pcrsOf(pcrs)['sha256'] ?? {};
  assert.deepEqual(Object.keys(values), ['0', '1', '2', '3', '4', '5', '6', '7', '9', '11']);
  for (const [pcr, value] of Object.entries(values)) assert.equal(value, held[pcr], `PCR ${pcr}`);
  assert.deepEqual(findings, []);
});

test('logs that cannot be what they claim are refused', (t) => {
  if (!haveVectors(t)) return;
  const parse = (name: string) => () => parseBootLog(readVector(name));
  throwsCode('boot_log_truncated', /1919248394 bytes wanted at offset 32 of 34/, parse('eventlog/bogus.bin'));
  throwsCode(
    'boot_log_truncated',
    /the Spec ID event is cut off: 4 bytes wanted/,
    parse('eventlog/specid_vendordata_only.bin'),
  );
  throwsCode(
    'boot_log_truncated',
    /40 bytes wanted at offset 41331 of 41364/,
    parse('generated/attack/eventlog_truncated.bin'),
  );
  throwsCode(
    'boot_log_invalid',
    /has 2147483647 digests in event 0/,
    parse('generated/attack/eventlog_huge_digest_count.bin'),
  );
});

test('changed data of the SecureBoot variable replays as before and is found', (t) => {
  if (!haveVectors(t)) return;
  const changed = replayed('generated/attack/eventlog_secureboot_data_flipped.bin');
  assert.deepEqual(pcrsOf(changed.pcrs), pcrsOf(replayed('eventlog/vm_secureboot.bin').pcrs));
  assert.deepEqual(codes(changed), [['digest_mismatch', 3]]);
});

test('events of PCR 7 with another type are found', (t) => {
  if (!haveVectors(t)) return;
  const found = codes(replayed('generated/attack/eventlog_pcr7_type_flip.bin'));
  const events = [3, 4, 5, 6, 7, 8, 26, 31, 33];
  assert.deepEqual(
    found,
    events.map((event) => ['event_type_unexpected', event]),
  );
});

test('a register of a bank that an event leaves out is not replayed, and a bank without any is left out', (t) => {
  if (!haveVectors(t)) return;
  const { pcrs, findings } = replayed('eventlog/one_uefiaction_4banks.bin');
  assert.deepEqual([...pcrs.keys()], ['sha1', 'sha256']);
  assert.deepEqual(
    findings.filter(({ code }) => code === 'bank_incomplete').map(({ message }) => message),
    [
      'event 0 has no sha384 digest, so PCR 4 of sha384 is not replayed',
      'event 0 has no sha512 digest, so PCR 4 of sha512 is not replayed',
    ],
  );
});
