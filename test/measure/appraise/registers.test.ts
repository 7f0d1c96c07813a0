import assert from 'node:assert/strict';
import { test } from 'node:test';
import { appraise } from '../../../src/measure/appraise/appraise.js';
import { eventType } from '../../../src/measure/boot/event-types.js';
import { bootEvents } from '../../support/appraisal-boot.js';
import { allRules, goodHost, goodReferences, resolved } from '../../support/appraisal-factory.js';
import { absent, entry, evidenceOf, file, measure, withLogs } from '../../support/appraisal-host.js';
import { codesOf, componentOf, faults, judge } from '../../support/appraisal-judge.js';
import { agileLog, sha1Log } from '../../support/boot-log-factory.js';
import { digestField, field, nameField } from '../../support/ima-list.js';

const policy = resolved(allRules, [goodReferences]);
const late = measure(goodHost);
const sha1Aggregate = entry(
  'ima-sig',
  Buffer.concat([
    field(digestField('sha1:', Buffer.alloc(20, 1))),
    field(nameField('boot_aggregate')),
    field(Buffer.alloc(0)),
  ]),
);

test('absent logs are held against the registers', () => {
  const noBoot = appraise(withLogs(late.evidence, { 'boot-log': absent }), undefined, policy);
  assert.deepEqual(codesOf(noBoot, 'firmware'), ['pcr_unexplained', 'pcr_unexplained', 'boot_log_absent']);
  const noList = appraise(withLogs(late.evidence, { 'ima-list': absent }), undefined, policy);
  assert.deepEqual(codesOf(noList, 'runtime'), ['pcr_unexplained', 'ima_list_absent', 'nothing_measured']);
  const silent = appraise(evidenceOf(new Map(), {}), undefined, policy);
  assert.ok(silent.explanation.components.every(({ result }) => result === 'unknown'));
  assert.equal(silent.verdict, 'drifted');
});

test('registers that are not in the quote are unknown', () => {
  const pcrs = [0, 1, 2, 3, 4, 5, 6, 7];
  const logs = { bootLog: late.bootLog, userspaceLog: late.userspaceLog, imaList: late.imaList };
  const result = appraise(evidenceOf(late.pcrs, logs, { pcrs }), undefined, policy);
  assert.equal(componentOf(result, 'firmware').result, 'pass');
  for (const name of ['boot-chain', 'command-line', 'userspace', 'runtime'] as const) {
    assert.equal(componentOf(result, name).result, 'unknown', name);
    assert.ok(codesOf(result, name).includes('pcr_not_quoted'), name);
  }
});

test('the boot log is replayed per register: what one event breaks leaves the others explained', () => {
  const { evidence } = measure({ ...goodHost, tamper: (pcrs) => pcrs.set(1, Buffer.alloc(32, 1)) });
  const result = appraise(evidence, undefined, policy);
  assert.deepEqual(
    result.explanation.pcrs.filter(({ explained }) => !explained).map(({ pcr }) => pcr),
    [1],
  );
  assert.deepEqual(faults(result), {
    'firmware-config': ['pcr_unexplained'],
    // The kernel found another value when it started.
    'boot-chain': ['boot_aggregate_mismatch'],
    runtime: ['boot_aggregate_mismatch'],
  });
  assert.equal(result.confirmed.bootLog, 0, 'so that it is sent again');
});

test('boot_aggregate: the list begins with it, and it is the hash of the registers that are quoted', () => {
  const rows = [
    [file('/usr/bin/true'), 'boot_aggregate_missing', 'fail'],
    [file('boot_aggregate', 'another boot'), 'boot_aggregate_mismatch', 'fail'],
    [sha1Aggregate, 'boot_aggregate_unchecked', 'warn'],
  ] as const;
  for (const [first, code, outcome] of rows) {
    const result = judge({ first });
    assert.deepEqual([codesOf(result, 'runtime'), componentOf(result, 'runtime').result], [[code], outcome]);
  }
});

test('a register of which the boot log leaves something out in the quoted bank is never explained, the others are', () => {
  const sha1Only = [[0x4, Buffer.alloc(20)]] as const;
  const gap = (pcr: number) => ({ pcr, type: eventType.ipl, data: '', digests: sha1Only });
  // Nothing else extends PCR 14, so that it holds what the log without the event gives.
  for (const [pcr, component] of [
    [14, 'boot-chain'],
    [3, 'firmware-config'],
  ] as const) {
    const bootLog = agileLog([...bootEvents, gap(pcr)]);
    const { userspaceLog, imaList } = late;
    const result = appraise(evidenceOf(late.pcrs, { bootLog, userspaceLog, imaList }), undefined, policy);
    assert.deepEqual(
      result.explanation.pcrs.filter(({ explained }) => !explained).map((one) => one.pcr),
      [pcr],
    );
    assert.deepEqual(faults(result), { [component]: ['boot_log_bank_missing'] });
    assert.equal(result.newState.boot.pcrs.has(pcr), false);
  }
});

test('a boot log without the quoted bank is a fact of its own', () => {
  const { userspaceLog, imaList } = late;
  const logs = { bootLog: sha1Log(bootEvents), userspaceLog, imaList };
  const result = appraise(evidenceOf(late.pcrs, logs), undefined, policy);
  assert.ok(codesOf(result, 'firmware').includes('boot_log_bank_missing'));
  assert.ok(codesOf(result, 'firmware').includes('pcr_unexplained'));
});

test('a register that comes to hold what the log gives is said of anew, and one that leaves it too', () => {
  const other = measure({ ...goodHost, tamper: (pcrs) => pcrs.set(1, Buffer.alloc(32, 1)) });
  const ofPcr1 = (result: ReturnType<typeof appraise>) => {
    const found = result.explanation.pcrs.find(({ pcr }) => pcr === 1) ?? assert.fail('PCR 1 is not quoted');
    return [found.explained, found.quoted === found.derived, found.from];
  };
  const good = appraise(late.evidence, undefined, policy);
  const bad = appraise(other.evidence, good.newState, policy);
  const again = appraise(late.evidence, bad.newState, policy);
  assert.deepEqual(ofPcr1(good), [true, true, 'boot-log']);
  assert.deepEqual(ofPcr1(bad), [false, false, 'boot-log']);
  assert.deepEqual(again.explanation.pcrs, good.explanation.pcrs);
});
