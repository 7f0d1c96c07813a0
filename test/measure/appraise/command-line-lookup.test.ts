import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventType } from '../../../src/measure/boot/event-types.js';
import { bootEvents, loadOptions } from '../../support/appraisal-boot.js';
import { allRules, goodReferences, referenceSet } from '../../support/appraisal-factory.js';
import { codesOf, faults, judge } from '../../support/appraisal-judge.js';

/** The good boot but for the line that the kernel's stub was given. */
const others = bootEvents.filter(({ pcr, measured }) => pcr !== 9 || typeof measured === 'string');

/** Accepted where only the line itself is in question. */
function accepts(line: string, accept: string[], ...named: string[]): boolean {
  const boot = [
    ...others,
    loadOptions(line),
    { pcr: 12, type: eventType.ipl, data: Buffer.from(`${line}\0`, 'utf16le') },
  ];
  const rule = { commandLine: { ...allRules.commandLine, require: [], accept } };
  const result = judge({ boot }, rule, goodReferences, referenceSet({ commandLines: named }));
  const codes = codesOf(result, 'command-line');
  if (codes.length === 0) assert.equal(result.verdict, 'trusted', line);
  else assert.equal(result.verdict, 'drifted', line);
  return codes.length === 0;
}

test('command-line: what is not printable ASCII is accepted neither exactly nor by a glob', () => {
  const exact = 'root=/dev/vda2 ro quiet ima_policy=tcb';
  assert.equal(accepts(exact, [], exact), true);
  assert.equal(
    accepts(`  ${exact} \n`, [], exact),
    true,
    'spaces around it, and the end of a line of a file',
  );
  for (const end of ['\u00a0', '\u3000', '\n\n', '\t', '\r', '\v', '\ufeff', '\u0000x', '\nx', '\u007f']) {
    const line = `${exact}${end}`;
    assert.equal(accepts(line, [], exact), false, JSON.stringify(end));
    assert.equal(accepts(line, [], line), false, `${JSON.stringify(end)}, named so`);
    assert.equal(accepts(line, ['**']), false, `${JSON.stringify(end)}, by a glob`);
  }
  const glob = ['root=* ro ima_policy=tcb quiet'];
  assert.equal(accepts('root=x ro ima_policy=tcb quiet', glob), true);
  for (const line of ['root=x ro\nima_policy=tcb quiet', 'root=x\0 ro ima_policy=tcb quiet']) {
    assert.equal(accepts(line, glob), false, JSON.stringify(line));
  }
  assert.equal(
    accepts('root=\u00e0init=/bin/sh ro ima_policy=tcb quiet', glob),
    false,
    'its byte a0 is a space',
  );
});

test('command-line: quotes are those of the kernel: around a word or its value, and by a glob nowhere else', () => {
  const glob = ['root=* ro ima_policy=tcb name=*'];
  const line = (root: string, name: string) => `root=${root} ro ima_policy=tcb ${name}`;
  assert.equal(accepts(line('x', 'name="a b"'), glob), true);
  assert.equal(accepts(line('x', '"name=a b"'), glob), true);
  assert.equal(accepts(line('"x"', 'name='), glob), true);
  for (const name of [
    'name=a"b',
    'name="a"b',
    'na"me=a"',
    `name='a'`,
    'name=a\\x20b',
    'name=a" init=/bin/sh"',
  ]) {
    assert.equal(accepts(line('x', name), glob), false, name);
    assert.equal(accepts(line('x', name), [], line('x', name)), true, `${name}, named so`);
  }
  assert.equal(accepts('root=x ro ima"_"policy=tcb name=', glob), false);
  const boot = [...others, loadOptions('a ima"_"policy=tcb')];
  const named = referenceSet({ commandLines: ['a ima"_"policy=tcb'] });
  const { runtime } = allRules;
  assert.deepEqual(faults(judge({ boot }, { runtime }, goodReferences, named)), {
    'command-line': ['command_line_word_missing'],
    runtime: ['ima_rules_unproven'],
  });
});

test('command-line: one that the kernel would cut off is not accepted', () => {
  const long = (length: number) =>
    'x='.padEnd(length - ' ima_policy=tcb'.length, 'y').concat(' ima_policy=tcb');
  assert.equal(accepts(long(2047), ['x=* ima_policy=tcb']), true);
  assert.equal(accepts(long(2048), ['x=* ima_policy=tcb']), false);
});
