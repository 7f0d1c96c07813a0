import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePe } from '../../../src/measure/uki/pe-image.js';
import { canonicalOrder, hardwareDependent, stubOf } from '../../../src/measure/uki/stub.js';
import { type MadeSection, makePe, makeUki } from '../../support/pe-factory.js';

const linux = { name: '.linux', content: 'kernel .uname\0' };
const known = (knows: string, ...more: readonly MadeSection[]) =>
  stubOf(parsePe(makeUki([linux, ...more], knows))).knows;

test('a stub knows the sections that its own data names, in canonical order', () => {
  assert.deepEqual(known('.cmdline .linux'), ['.linux', '.cmdline']);
  assert.deepEqual(known(canonicalOrder.toReversed().join(' ')), [...canonicalOrder]);
});

test('what the payload names does not count, nor does the beginning of a longer name', () => {
  assert.deepEqual(known('.linux'), ['.linux']);
  assert.deepEqual(known('.linux .dtbauto'), ['.linux', '.dtbauto']);
  assert.deepEqual(known('.linux', { name: '.osrel', content: '.sbat\0' }), ['.linux']);
  assert.deepEqual(known('.linux .profiles'), ['.linux']);
});

test('a stub that names nothing is unknown, and taken to know everything', () => {
  const stub = stubOf(parsePe(makePe({ sections: [{ name: '.text', content: 'code' }] })));
  assert.deepEqual([stub.unknown, stub.knows, stub.name], [true, canonicalOrder, '']);
  assert.ok([...hardwareDependent].every((name) => canonicalOrder.some((row) => row === name)));
});

test('the name of a stub is text of one line, if it has one', () => {
  const named = (content: string, virtualSize?: number) => {
    const magic = { name: '.sdmagic', content, ...(virtualSize === undefined ? {} : { virtualSize }) };
    return stubOf(parsePe(makePe({ sections: [magic] }))).name;
  };
  assert.equal(named('#### LoaderInfo: systemd-stub 256 ####'), 'systemd-stub 256');
  assert.equal(named('#### LoaderInfo: a\u001b[2J\nb ####'), 'a?[2J?b');
  assert.equal(named('#### LoaderInfo: without an end'), '');
  assert.equal(named('something else'), '');
  assert.equal(named('#### LoaderInfo: x ####', 5000), '');
});
