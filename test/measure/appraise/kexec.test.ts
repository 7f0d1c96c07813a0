import assert from 'node:assert/strict';
import { test } from 'node:test';
import { appraise } from '../../../src/measure/appraise/appraise.js';
import { COMMAND_LINE } from '../../support/appraisal-boot.js';
import { allRules, goodHost, goodReferences, imaFiles, resolved } from '../../support/appraisal-factory.js';
import {
  absent,
  buffer,
  entry,
  evidenceOf,
  file,
  type MadeEntry,
  measure,
  whole,
  withLogs,
} from '../../support/appraisal-host.js';
import { codesOf, componentOf, faults, judge, without } from '../../support/appraisal-judge.js';
import { agileLog } from '../../support/boot-log-factory.js';

const again = file('boot_aggregate', 'x');
const kexec = buffer('kexec-cmdline', COMMAND_LINE);
const allowed = { bootChain: { ...allRules.bootChain, kexec: true } };
const relabelled = ({ data, pcr }: MadeEntry, template: string) =>
  entry(template, data ?? Buffer.alloc(0), pcr);

test('kexec: a second boot_aggregate and a command line for kexec fail unless the boot chain allows them', () => {
  for (const more of [[kexec], [kexec, again]]) {
    const ima = [...imaFiles, ...more];
    const codes = more.map(() => 'kexec');
    assert.deepEqual(faults(judge({ ima })), { 'boot-chain': codes });
    const alone = judge({ ima }, without('bootChain'));
    assert.deepEqual(codesOf(alone, 'runtime'), codes, 'without a rule for the boot chain');
  }
  assert.deepEqual(faults(judge({ ima: [...imaFiles, kexec, again] }, allowed)), {});
  const evil = buffer('kexec-cmdline', 'init=/bin/sh');
  const result = judge({ ima: [...imaFiles, evil] }, allowed);
  assert.deepEqual(codesOf(result, 'command-line'), [
    'command_line_unknown',
    'command_line_word_forbidden',
    'command_line_word_missing',
  ]);
  assert.deepEqual(
    codesOf(result, 'runtime'),
    ['ima_rules_unproven'],
    'the line that runs now sets no rules',
  );
});

test('kexec: names count under any template, and what cannot be told may be one', () => {
  const rules = without('runtime');
  for (const template of ['ima-sig', 'ima-ng', 'd-ng|n-ng|modsig', 'ima-buf']) {
    for (const one of [kexec, again]) {
      const { reasons } = componentOf(
        judge({ ima: [...imaFiles, relabelled(one, template)] }, rules),
        'boot-chain',
      );
      const codes = new Set(reasons.map(({ code }) => code));
      assert.equal(codes.size, 1, template);
      assert.ok(codes.has('kexec') || codes.has('kexec_uncertain'), template);
    }
  }
  for (const template of ['x', 'd-ng|modsig|n-ng', 'ima-ngv2']) {
    const ima = [...imaFiles, relabelled(kexec, template)];
    assert.deepEqual(faults(judge({ ima }, rules)), { 'boot-chain': ['kexec_uncertain'] }, template);
    assert.deepEqual(
      codesOf(judge({ ima }, { ...rules, ...allowed }), 'boot-chain'),
      ['kexec_uncertain'],
      template,
    );
    const line = judge({ ima }, { ...rules, ...without('bootChain') });
    assert.deepEqual(codesOf(line, 'command-line'), ['kexec_uncertain'], template);
    const weak = { ...rules, bootChain: { ...allRules.bootChain, onFail: 'suspect' } } as const;
    assert.equal(judge({ ima }, weak).verdict, 'drifted', template);
  }
});

test('kexec: a list that does not begin with boot_aggregate, or that is not what PCR 10 holds, rules nothing out', () => {
  const rules = without('runtime');
  const headless = judge({ first: file('/usr/bin/true'), ima: imaFiles.slice(1) }, rules);
  assert.deepEqual(codesOf(headless, 'boot-chain'), ['kexec_uncertain']);
  const policy = resolved({ ...allRules, ...rules }, [goodReferences]);
  const host = measure({ ...goodHost, ima: [...imaFiles, kexec, again] });
  const short = Buffer.concat(host.entries.slice(0, -1).map(({ bytes }) => bytes));
  for (const list of [absent, whole(short)]) {
    const result = appraise(withLogs(host.evidence, { 'ima-list': list }), undefined, policy);
    assert.deepEqual(faults(result), { 'boot-chain': ['kexec_uncertain'] });
    assert.equal(result.verdict, 'drifted');
  }
  const { bootLog, userspaceLog, imaList, pcrs } = measure(goodHost);
  const unquoted = evidenceOf(
    pcrs,
    { bootLog, userspaceLog, imaList },
    { pcrs: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15] },
  );
  assert.deepEqual(codesOf(appraise(unquoted, undefined, policy), 'boot-chain'), ['kexec_uncertain']);
  const without10 = measure({ ...goodHost, ima: [], tamper: (values) => values.set(10, Buffer.alloc(32)) });
  const none = withLogs(without10.evidence, { 'ima-list': absent });
  assert.deepEqual(faults(appraise(none, undefined, policy)), {}, 'a kernel without IMA');
});

test('kexec: no other log tells what PCR 10 holds', () => {
  const host = measure({ ...goodHost, ima: [...imaFiles, kexec, again] });
  const list = host.entries.map(({ data }) => ({
    pcr: 10,
    type: 3,
    data: 'x',
    measured: data ?? Buffer.alloc(0),
  }));
  const logs = { 'boot-log': whole(agileLog([...goodHost.boot, ...list])), 'ima-list': absent };
  const policy = resolved({ ...allRules, ...without('runtime') }, [goodReferences]);
  const result = appraise(withLogs(host.evidence, logs), undefined, policy);
  assert.deepEqual(codesOf(result, 'boot-chain'), ['kexec_uncertain']);
});

test('kexec: where it is allowed, each further kernel needs a command line that was measured before it', () => {
  const rows: [MadeEntry[], boolean][] = [
    [[kexec, again], true],
    [[kexec, kexec, again], true],
    [[kexec], true],
    [[again], false],
    [[again, kexec], false],
    [[kexec, again, file('boot_aggregate', 'y')], false],
    [[kexec, kexec, again, file('boot_aggregate', 'y')], false],
    [[kexec, again, kexec, file('boot_aggregate', 'y')], true],
  ];
  for (const [n, [entries, good]] of rows.entries()) {
    const result = judge({ ima: [...imaFiles, ...entries] }, allowed);
    const expected = { 'command-line': ['command_line_missing'], runtime: ['ima_rules_unproven'] };
    assert.deepEqual(faults(result), good ? {} : expected, `row ${n}`);
    assert.equal(result.verdict, good ? 'trusted' : 'drifted');
  }
});
