import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { matchBootAggregate } from '../../../src/measure/ima/boot-aggregate.js';
import { parseImaAscii } from '../../../src/measure/ima/ima-ascii.js';
import { imaBinaryReader, parseImaBinary } from '../../../src/measure/ima/ima-binary.js';
import { readImaEntry } from '../../../src/measure/ima/ima-entry.js';
import { findingsOf } from '../../../src/measure/ima/ima-findings.js';
import type { ImaRecord } from '../../../src/measure/ima/ima-record.js';
import { digestMatches, firstMatchingPrefix, imaReplay } from '../../../src/measure/ima/ima-replay.js';
import { parseQuote } from '../../../src/tpm/attest.js';
import { pcrDigest } from '../../../src/tpm/pcr.js';
import { throwsCode } from '../../support/rejects.js';
import { haveVectors, readVector } from '../../support/vectors.js';

const recordsOf = (name: string) => [
  ...(name.endsWith('.ascii') ? parseImaAscii : parseImaBinary)(readVector(name)),
];

/** The file of the violation in PCR 13 lacks the NUL at the end of its name. */
function violationInPcr13(): ImaRecord[] {
  const bytes = readVector('ima/sml-ima-ng-sha1-invalidated.bin');
  throwsCode('ima_list_truncated', /cut off in entry 1: 86 bytes/, () => [...parseImaBinary(bytes)]);
  return [...parseImaBinary(Buffer.concat([bytes, Buffer.of(0)]))];
}

/** The whole entries of a file that is cut off behind them, as three of the foreign ones are. */
function wholeRecordsOf(name: string): ImaRecord[] {
  const reader = imaBinaryReader();
  const records = [...reader.push(readVector(name))];
  throwsCode('ima_list_truncated', /cut off in entry \d+: [16] bytes are not a whole entry/, () =>
    reader.end(),
  );
  return records;
}

function pcr(name: string, bank: 'sha1' | 'sha256', index = 10): string {
  const replay = imaReplay(bank);
  for (const one of recordsOf(name)) replay.extend(one);
  return Buffer.from(replay.value(index) ?? []).toString('hex');
}

test('every text list of the vectors gives its recorded result', (t) => {
  if (!haveVectors(t)) return;
  const expected = JSON.parse(readVector('expected.json').toString());
  const lists = Object.keys(expected).filter((name) => name.endsWith('.ascii'));
  assert.ok(lists.length >= 6);
  for (const name of lists) {
    const want = expected[name];
    const records = recordsOf(name);
    assert.equal(records.length, want.entries, name);
    assert.equal(records.filter(({ violation }) => violation).length, want.violations, name);
    const bad = records.filter((one) => !digestMatches(one)).map(({ event }) => event);
    assert.deepEqual(
      bad,
      want.problems.map(([event]: [number]) => event),
      name,
    );
    assert.equal(pcr(name, 'sha1'), want.pcr10_sha1, name);
    assert.equal(pcr(name, 'sha256'), want.pcr10_sha256, name);
  }
});

test('every binary list of the vectors has entries that match their own digests', (t) => {
  if (!haveVectors(t)) return;
  const facts = ['ng-sha1', 'sha1', 'sig-sha256', 'ng-sha1-invalidated', 'sha1-invalidated'].map((name) => {
    const file = `ima/sml-ima-${name}.bin`;
    const whole = name.endsWith('invalidated') ? recordsOf : wholeRecordsOf;
    const records = name === 'ng-sha1-invalidated' ? violationInPcr13() : whole(file);
    assert.ok(
      records.every((one) => digestMatches(one)),
      name,
    );
    const entries = records.map(readImaEntry);
    assert.ok(
      entries.every(({ problem, path }) => problem === undefined && path),
      name,
    );
    assert.equal(entries[0]?.path?.text, 'boot_aggregate', name);
    return [name, records[0]?.template, records[0]?.pcr, records[0]?.violation];
  });
  assert.deepEqual(facts, [
    ['ng-sha1', 'ima-ng', 10, false],
    ['sha1', 'ima', 10, false],
    ['sig-sha256', 'ima-sig', 10, false],
    ['ng-sha1-invalidated', 'ima-ng', 13, true],
    ['sha1-invalidated', 'ima', 10, true],
  ]);
  const [odd] = violationInPcr13().flatMap((one) => findingsOf(one));
  assert.deepEqual(
    [odd?.code, odd?.message],
    ['ima_pcr_unexpected', 'entry "boot_aggregate" is in PCR 13, not 10'],
  );
  const violations = recordsOf('ima/sml-ima-sig-sha256-invalidated.bin').map(({ violation }) => violation);
  assert.deepEqual(violations, [false, true]);
});

test('text and binary of one list are the same records', (t) => {
  if (!haveVectors(t)) return;
  const text = recordsOf('generated/vm/ima_2.ascii');
  const binary = recordsOf('generated/vm/ima_2.bin');
  assert.equal(text.length, 136);
  assert.equal(binary.length, 137);
  const plain = (list: typeof text) =>
    list.map((one) => ({ ...one, data: Buffer.from(one.data).toString('hex') }));
  assert.deepEqual(plain(text), plain(binary.slice(0, 136)));
  assert.equal(readImaEntry(text[122] ?? assert.fail()).path?.text, '/w/name_with_space');
});

/** The prefix of a list that a quote of the virtual machine covers. */
function prefix(list: string, quoteName: string): number | undefined {
  const quote = parseQuote(readVector(`generated/vm/${quoteName}.attest`));
  const values = new Map(
    Object.entries(machine()).map(([index, hex]) => [Number(index), Buffer.from(hex, 'hex')]),
  );
  const [selection = assert.fail('no selection')] = quote.selections;
  return firstMatchingPrefix(recordsOf(list), (pcr10) =>
    Buffer.from(pcrDigest('sha256', selection, new Map<number, Uint8Array>([...values, [10, pcr10]]))).equals(
      quote.pcrDigest,
    ),
  );
}
const machine = () =>
  JSON.parse(readVector('generated/vm/pcrs-sha256.json').toString()) as Record<string, string>;

test('a quote matches the first prefix that it covers, and a forged list none', (t: TestContext) => {
  if (!haveVectors(t)) return;
  const vm = (list: string, quote: string) => prefix(`generated/vm/${list}`, quote);
  assert.equal(vm('ima_1.bin', 'quote-ecc-1'), 1);
  assert.equal(vm('ima_1.ascii', 'quote-rsa-1'), 1);
  assert.equal(vm('ima_2.bin', 'quote-ecc-2'), 127);
  assert.equal(vm('ima_2.bin', 'quote-rsa-2'), 128);
  assert.equal(vm('ima_3.ascii', 'quote-ecc-3'), 138);
  assert.equal(vm('ima_3.ascii', 'quote-rsa-3'), 139);
  assert.equal(vm('ima_2.bin', 'quote-ecc-3'), undefined);
  assert.equal(vm('ima_2.bin', 'quote-ecc-afterreboot'), undefined);
  for (const name of ['ima_entry_dropped.ascii', 'ima_path_relabelled.ascii']) {
    assert.equal(prefix(`generated/attack/${name}`, 'quote-ecc-2'), undefined, name);
    assert.equal(prefix(`generated/attack/${name}`, 'quote-rsa-2'), undefined, name);
  }
});

test('boot_aggregate is computed again from PCR 0-9', (t) => {
  if (!haveVectors(t)) return;
  const [first] = recordsOf('generated/vm/ima_1.bin').map(readImaEntry);
  const said = first?.fileDigest ?? assert.fail();
  const values = new Map(
    Object.entries(machine()).map(([index, hex]) => [Number(index), Buffer.from(hex, 'hex')]),
  );
  assert.equal(matchBootAggregate(said, 'sha256', values), '0-9');
  assert.equal(matchBootAggregate(said, 'sha1', values), undefined);
  assert.equal(matchBootAggregate(said, 'sha256', new Map([...values, [8, Buffer.alloc(32, 1)]])), undefined);
  values.delete(3);
  assert.equal(matchBootAggregate(said, 'sha256', values), undefined);
});

test('signatures and keys of real lists are kept', (t) => {
  if (!haveVectors(t)) return;
  const signed = recordsOf('ima/keylime_signatures.ascii').map(readImaEntry);
  assert.deepEqual(
    signed.map(({ signature }) => signature?.subarray(0, 3)),
    Array(2).fill(Buffer.of(3, 2, 4)),
  );
  const [key] = recordsOf('ima/keylime_ima_buf_keyring.ascii');
  assert.ok(key);
  const entry = readImaEntry(key);
  assert.equal(entry.path?.text, '.ima');
  assert.equal(entry.buffer?.[0], 0x30);
  assert.deepEqual(
    findingsOf(key).map(({ code }) => code),
    ['ima_boot_aggregate_missing'],
  );
});
