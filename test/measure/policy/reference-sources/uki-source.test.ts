import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { test } from 'node:test';
import { checkManifest } from '../../../../src/measure/policy/check.js';
import {
  labelText,
  mergeReferences,
  referenceDocument,
  referenceSet,
} from '../../../../src/measure/policy/reference-sources/reference-set.js';
import { ukiReferences } from '../../../../src/measure/policy/reference-sources/uki-source.js';
import { authenticodeHash } from '../../../../src/measure/uki/authenticode.js';
import { predictPcr11 } from '../../../../src/measure/uki/pcr11.js';
import { parseUki } from '../../../../src/measure/uki/uki.js';
import { makePe, makeUki } from '../../../support/pe-factory.js';
import { throwsCode } from '../../../support/rejects.js';

const about = { name: 'set', source: 'uki debian.efi' };
const kernel = makePe({ sections: [{ name: '.text', content: 'kernel' }] });
const linux = { name: '.linux', content: kernel };
const osrel = { name: '.osrel', content: 'PRETTY_NAME="Debian \u202e12"\nIMAGE_ID=edge\nIMAGE_VERSION=7\n' };
const both = (content: string | Uint8Array) => [
  `sha256:${hash('sha256', content)}`,
  `sha384:${hash('sha384', content)}`,
];

test('a UKI becomes its hashes, its kernel’s, those of its sections, and its command line', () => {
  const bytes = makeUki([
    linux,
    osrel,
    { name: '.cmdline', content: 'quiet\n' },
    { name: '.uname', content: '6.1' },
  ]);
  const { set, notes } = ukiReferences(about, bytes);
  const { image, kernel: inner, profiles } = parseUki(bytes);
  assert.ok(inner && profiles[0]);
  const hashes = (of: typeof image) =>
    (['sha256', 'sha384'] as const).map(
      (bank) => `${bank}:${Buffer.from(authenticodeHash(of, bank)).toString('hex')}`,
    );
  assert.deepEqual(set.ukis, [
    {
      label: 'Debian 12 edge 7 6.1',
      image: hashes(image),
      kernel: hashes(inner),
      sections: [
        { name: '.linux', digests: both(kernel) },
        { name: '.osrel', digests: both(osrel.content) },
        { name: '.cmdline', digests: both('quiet\n') },
        { name: '.uname', digests: both('6.1') },
      ],
      commandLine: 'quiet',
    },
  ]);
  assert.deepEqual(notes, []);
  const pcr11 = predictPcr11(profiles[0], 'sha256');
  for (const value of [pcr11.stub, [...pcr11.phases.values()].at(-1) ?? new Uint8Array()])
    assert.ok(set.description.includes(Buffer.from(value).toString('hex')));
});

test('each profile is a reference of its own, and a device tree is any of those in the image', () => {
  const title = { name: '.profile', content: 'TITLE=x' };
  const tree = (content: string) => ({ name: '.dtbauto', content });
  const bytes = makeUki([linux, tree('a'), tree('b'), title, title, { name: '.cmdline', content: 'rescue' }]);
  const { set, notes } = ukiReferences(about, bytes);
  assert.deepEqual(
    set.ukis.map(({ label, commandLine }) => [label, commandLine]),
    [
      ['profile 0', ''],
      ['profile 1', 'rescue'],
    ],
  );
  const found = set.ukis[0]?.sections.find(({ name }) => name === '.dtbauto');
  assert.deepEqual(found?.digests, [...both('a'), ...both('b')]);
  assert.deepEqual(notes, ['uki debian.efi: whether .dtbauto is measured depends on the hardware']);
});

test('of very many device trees one bank is taken, and beyond that none', () => {
  const trees = (count: number) =>
    Array.from({ length: count }, (_, n) => ({ name: '.dtbauto', content: `tree ${n}` }));
  const many = ukiReferences(about, makeUki([linux, ...trees(40)])).set.ukis[0];
  const found = many?.sections.find(({ name }) => name === '.dtbauto')?.digests ?? [];
  assert.deepEqual([found.length, found[39]], [40, both('tree 39')[0]]);
  throwsCode('reference_source_too_large', /the image has 65 sections .dtbauto, at most 64/, () =>
    ukiReferences(about, makeUki([linux, ...trees(65)])),
  );
});

test('every profile’s line is in the description, as far as it goes', () => {
  const title = { name: '.profile', content: 'TITLE=x' };
  const { description } = ukiReferences(about, makeUki([linux, ...Array(9).fill(title)])).set;
  assert.equal(description.length, 1024);
  assert.match(description, /^profile 0: PCR 11 [^…]*\nprofile 1: PCR 11 [^…]*…$/);
});

test('a made set is one that can be applied', () => {
  const { set } = ukiReferences(about, makeUki([linux, osrel]));
  assert.deepEqual(checkManifest(referenceDocument(set)), set);
});

test('what is no UKI is refused; an image without names is called by its file', () => {
  throwsCode('uki_invalid', /has no section .linux/, () => ukiReferences(about, kernel));
  throwsCode('pe_truncated', /the DOS header/, () => ukiReferences(about, Buffer.from('MZ')));
  assert.equal(ukiReferences(about, makeUki([linux])).set.ukis[0]?.label, 'uki debian.efi');
  const elf = ukiReferences(about, makeUki([{ name: '.linux', content: 'no image' }]));
  assert.deepEqual(
    [elf.set.ukis[0]?.kernel, elf.notes],
    [[], ['uki debian.efi: what is in .linux is no EFI image']],
  );
});

test('sets are merged with each thing once, and written without what they do not have', () => {
  const one = ukiReferences(about, makeUki([linux]));
  const file = { digest: 'sha256:00', path: '/x' };
  const other = { set: referenceSet(about, { files: [file, file], description: 'second' }), notes: ['n'] };
  const { set, notes } = mergeReferences({ name: 'all', source: 'uki a, b' }, [one, one, other]);
  assert.deepEqual([set.ukis.length, set.files, notes], [1, [file], ['n']]);
  const firmware = (label: string) => ({
    set: referenceSet(about, { firmware: [{ digest: 'd', label }] }),
    notes: [],
  });
  assert.deepEqual(mergeReferences(about, [firmware('first'), firmware('second')]).set.firmware, [
    { digest: 'd', label: 'first' },
  ]);
  const document = referenceDocument(set);
  assert.deepEqual(Object.keys(document), ['kind', 'name', 'description', 'source', 'ukis', 'files']);
  assert.deepEqual([document['name'], document['source']], ['all', 'uki a, b']);
  assert.deepEqual(Object.keys(referenceDocument(referenceSet(about, {}))), ['kind', 'name', 'source']);
});

test('labels are short and on one line', () => {
  assert.equal(labelText(' a\n\u001b[2Jb\u2028c\u0000 '), 'a [2Jb c');
  assert.equal(labelText('x'.repeat(300)).length, 200);
});
