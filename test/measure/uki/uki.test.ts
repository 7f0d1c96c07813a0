import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { test } from 'node:test';
import { parseBootLog } from '../../../src/measure/boot/boot-log.js';
import { authenticodeHash } from '../../../src/measure/uki/authenticode.js';
import { predictPcr11, stubDigests } from '../../../src/measure/uki/pcr11.js';
import { parsePe } from '../../../src/measure/uki/pe-image.js';
import {
  commandLineOf,
  isUki,
  osReleaseOf,
  parseUki,
  textOf,
  type Uki,
} from '../../../src/measure/uki/uki.js';
import type { UkiProfile } from '../../../src/measure/uki/uki-profiles.js';
import { type MadeSection, makePe, makeUki } from '../../support/pe-factory.js';
import { throwsCode } from '../../support/rejects.js';
import { haveVectors, readVector } from '../../support/vectors.js';

const kernel = makePe({ sections: [{ name: '.text', content: 'kernel' }] });
const linux: MadeSection = { name: '.linux', content: kernel };
const osrel: MadeSection = { name: '.osrel', content: 'ID=debian\nPRETTY_NAME="Debian 12"\n' };
const cmdline: MadeSection = { name: '.cmdline', content: 'quiet\n\0' };
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const names = (profile?: UkiProfile) => profile?.sections.map(({ name }) => name);
const codes = ({ findings }: Uki) => findings.map(({ code }) => code);

function only(uki: Uki): UkiProfile {
  const [profile, ...others] = uki.profiles;
  assert.ok(profile && others.length === 0);
  return profile;
}

/** PCR 11 by nothing but hashes. */
function extended(...measured: (string | Uint8Array)[]): string {
  let value = Buffer.alloc(32);
  for (const by of measured)
    value = hash('sha256', Buffer.concat([value, hash('sha256', by, 'buffer')]), 'buffer');
  return hex(value);
}

test('sections are measured in canonical order, name and content, but the signature', () => {
  const pcrsig = { name: '.pcrsig', content: '{}' };
  const uki = parseUki(makeUki([osrel, pcrsig, cmdline, linux, { name: '.initrd', content: 'i' }]));
  const profile = only(uki);
  assert.deepEqual(names(profile), ['.linux', '.osrel', '.cmdline', '.initrd']);
  assert.deepEqual(codes(uki), []);
  assert.equal(stubDigests(profile, 'sha1').length, 8);
  const measured = [
    '.linux\0',
    kernel,
    '.osrel\0',
    osrel.content,
    '.cmdline\0',
    cmdline.content,
    '.initrd\0',
  ];
  const { stub, phases } = predictPcr11(profile, 'sha256');
  assert.equal(hex(stub), extended(...measured, 'i'));
  assert.deepEqual(
    [...phases].map(([path, value]) => [path, hex(value)]),
    [
      ['enter-initrd', extended(...measured, 'i', 'enter-initrd')],
      ['enter-initrd:leave-initrd', extended(...measured, 'i', 'enter-initrd', 'leave-initrd')],
      [
        'enter-initrd:leave-initrd:sysinit',
        extended(...measured, 'i', 'enter-initrd', 'leave-initrd', 'sysinit'),
      ],
      [
        'enter-initrd:leave-initrd:sysinit:ready',
        extended(...measured, 'i', 'enter-initrd', 'leave-initrd', 'sysinit', 'ready'),
      ],
    ],
  );
  assert.deepEqual(
    (['sha1', 'sha384', 'sha512'] as const).map((bank) => predictPcr11(profile, bank).stub.length),
    [20, 48, 64],
  );
});

test('names are measured as a real stub did it', (t) => {
  if (!haveVectors(t)) return;
  const log = parseBootLog(readVector('generated/vm/bios.bin'));
  const theirs = log.events.filter(({ pcr }) => pcr === 11).map(({ digests }) => digests.get('sha256'));
  const made = only(parseUki(makeUki([linux, osrel, cmdline, { name: '.initrd', content: 'i' }])));
  const ours = stubDigests(made, 'sha256');
  assert.equal(theirs.length, 8);
  for (const index of [0, 2, 4, 6])
    assert.deepEqual(Buffer.from(ours[index] ?? []), theirs[index], `event ${index}`);
});

test('what the image says of itself', () => {
  const uki = parseUki(makeUki([linux, osrel, cmdline, { name: '.uname', content: '6.1.0-56-amd64' }]));
  const profile = only(uki);
  assert.equal(uki.stub.name, 'systemd-stub 257.1');
  assert.equal(commandLineOf(profile), 'quiet');
  assert.deepEqual(osReleaseOf(profile), { ID: 'debian', PRETTY_NAME: 'Debian 12' });
  assert.equal(textOf(profile, '.uname'), '6.1.0-56-amd64');
  assert.equal(textOf(profile, '.splash'), '');
  assert.ok(uki.kernel);
  assert.equal(hex(authenticodeHash(uki.kernel, 'sha256')), hex(authenticodeHash(parsePe(kernel), 'sha256')));
});

test('a stub measures only the sections that it knows', () => {
  const old = '.linux .osrel .cmdline .initrd .splash .dtb .pcrsig .pcrpkey';
  const uki = parseUki(makeUki([linux, osrel, { name: '.uname', content: '6.1' }], old));
  assert.deepEqual(names(uki.profiles[0]), ['.linux', '.osrel']);
  assert.deepEqual(uki.findings, [
    { code: 'uki_section_unmeasured', event: null, message: 'this stub does not measure .uname' },
  ]);
  const silent = parseUki(makeUki([linux, { name: '.uname', content: '6.1' }], 'nothing'));
  assert.deepEqual([names(silent.profiles[0]), codes(silent)], [['.linux', '.uname'], ['uki_stub_unknown']]);
  assert.ok(silent.stub.unknown);
});

test('padding of the file is not measured; what the file lacks is measured as zeros', () => {
  const long = { name: '.initrd', content: 'i', virtualSize: 1000 };
  const profile = only(parseUki(makeUki([linux, long])));
  assert.deepEqual(
    profile.sections.map(({ content }) => content.length),
    [kernel.length, 1000],
  );
  const zeros = Buffer.concat([Buffer.from('i'), Buffer.alloc(999)]);
  assert.equal(hex(predictPcr11(profile, 'sha256').stub), extended('.linux\0', kernel, '.initrd\0', zeros));
  const empty = only(parseUki(makeUki([linux, { name: '.initrd', content: 'i', virtualSize: 0 }])));
  assert.deepEqual(names(empty), ['.linux']);
  throwsCode('pe_invalid', /section ".initrd" of 4294967295 bytes, of which the file has 512/, () =>
    parseUki(makeUki([linux, { ...long, virtualSize: 0xffffffff }])),
  );
});

test('sections that the file lacks are bounded together, not one by one', () => {
  const lacking = (count: number) =>
    Array.from({ length: count }, (_, n) => ({
      name: '.dtbauto',
      content: 'd',
      virtualSize: 1024 * 1024,
      virtualAddress: 0x1000000 + n * 0x200000,
    }));
  const tree = makeUki([linux, ...lacking(16)]);
  assert.equal(only(parseUki(tree)).choices.length, 16);
  throwsCode('pe_invalid', /of which the file has 512: with those before it more than 16777216 bytes/, () =>
    parseUki(makeUki([linux, ...lacking(17)])),
  );
});

test('each profile puts its own sections in place of common ones', () => {
  const title = (text: string) => ({ name: '.profile', content: `TITLE=${text}` });
  const own = { name: '.cmdline', content: 'rescue' };
  const uki = parseUki(makeUki([linux, osrel, cmdline, title('Normal'), title('Rescue'), own]));
  assert.deepEqual(uki.profiles.map(commandLineOf), ['quiet', 'rescue']);
  assert.deepEqual(uki.profiles.map(names), Array(2).fill(['.linux', '.osrel', '.cmdline', '.profile']));
  assert.deepEqual(
    uki.profiles.map((profile) => textOf(profile, '.profile')),
    ['TITLE=Normal', 'TITLE=Rescue'],
  );
  assert.deepEqual([codes(uki), uki.profiles[1]?.index], [[], 1]);
});

test('an empty section of a profile hides the common one', () => {
  const title = { name: '.profile', content: 'TITLE=x' };
  const none = { name: '.cmdline', content: '', virtualSize: 0 };
  const uki = parseUki(makeUki([linux, cmdline, title, none]));
  assert.deepEqual(names(only(uki)), ['.linux', '.profile']);
  assert.equal(commandLineOf(only(uki)), '');
});

test('an older stub does not know profiles: all sections are common', () => {
  const title = { name: '.profile', content: 'TITLE=x' };
  const old = parseUki(makeUki([linux, title, cmdline], '.linux .osrel .cmdline'));
  assert.deepEqual(names(only(old)), ['.linux', '.cmdline']);
});

test('a command line is one line and ends at its NUL; what is too long is no text', () => {
  const line = (content: string) => only(parseUki(makeUki([linux, { name: '.cmdline', content }])));
  assert.equal(commandLineOf(line(' a\tb\nc \u007f\n\0behind')), 'a b c');
  assert.equal(commandLineOf(line('x'.repeat(65536))).length, 65536);
  throwsCode('uki_invalid', /a section .cmdline of 65537 bytes, too long for text/, () =>
    commandLineOf(line('x'.repeat(65537))),
  );
});

test('device trees that the hardware chooses stand beside, and are told', () => {
  const tree = (content: string) => ({ name: '.dtbauto', content });
  const uki = parseUki(makeUki([linux, tree('a'), tree('b')]));
  assert.deepEqual(names(uki.profiles[0]), ['.linux']);
  assert.deepEqual(
    uki.profiles[0]?.choices.map(({ content }) => String(content)),
    ['a', 'b'],
  );
  assert.deepEqual(codes(uki), ['uki_hardware_dependent']);
});

test('what makes the prediction doubtful is told', () => {
  const twice = parseUki(makeUki([linux, osrel, { name: '.osrel', content: 'ID=other' }]));
  assert.deepEqual(codes(twice), ['uki_section_repeated']);
  assert.deepEqual(osReleaseOf(only(twice))['ID'], 'debian');
  const over = parseUki(makeUki([linux, { ...osrel, virtualAddress: 0x201001 }]));
  assert.deepEqual(over.findings, [
    {
      code: 'uki_section_overlap',
      event: null,
      message: '".linux" and ".osrel" overlap in memory, so what is measured cannot be told from the file',
    },
  ]);
  const elf = parseUki(makeUki([{ name: '.linux', content: '\u007fELF' }]));
  assert.deepEqual([codes(elf), elf.kernel], [['uki_kernel_not_pe'], undefined]);
});

test('an image without a kernel for all profiles is no unified kernel image', () => {
  assert.equal(isUki(parsePe(kernel)), false);
  const late = makeUki([{ name: '.profile', content: 'TITLE=x' }]);
  throwsCode('uki_invalid', /has no section .linux/, () => parseUki(late));
});

test('os-release: quotes and escapes, comments and noise', () => {
  const lines = [
    '# no',
    "A='x y'",
    'B="say \\"hi\\" \\$1"',
    'C=plain',
    'broken',
    'C=last',
    'D="',
    '1=x',
    '__proto__=p',
  ];
  const uki = parseUki(makeUki([linux, { name: '.osrel', content: lines.join('\n') }]));
  assert.deepEqual(Object.entries(osReleaseOf(only(uki))), [
    ['A', 'x y'],
    ['B', 'say "hi" $1'],
    ['C', 'last'],
    ['D', '"'],
    ['__proto__', 'p'],
  ]);
});
