import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { test } from 'node:test';
import { authenticodeHash } from '../../../src/measure/uki/authenticode.js';
import { parsePe } from '../../../src/measure/uki/pe-image.js';
import { at, type MadePe, makePe } from '../../support/pe-factory.js';
import { throwsCode } from '../../support/rejects.js';

const sections = [
  { name: '.text', content: 'code' },
  { name: '.data', content: 'd'.repeat(600) },
  { name: '.bss', content: '', virtualSize: 4096 },
];
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const codeOf = (bytes: Uint8Array) => parsePe(bytes).findings.map(({ code }) => code);
const sha256 = (bytes: Uint8Array) => hex(authenticodeHash(parsePe(bytes), 'sha256'));
const entryAt = { pe32: at.optional + 128, 'pe32+': at.optional + 144 } as const;
const table = at.optional + 240;

/** The specification's recipe, by the offsets that the factory wrote. */
function byHand(bytes: Buffer, format: 'pe32' | 'pe32+', end: number): string {
  const entry = entryAt[format];
  const parts = [
    bytes.subarray(0, at.checksum),
    bytes.subarray(at.checksum + 4, entry),
    bytes.subarray(entry + 8, end),
  ];
  return hash('sha256', Buffer.concat(parts));
}

for (const format of ['pe32', 'pe32+'] as const) {
  test(`${format}: headers and sections are read, and hashed without checksum and certificates`, () => {
    const plain = makePe({ format, sections });
    const image = parsePe(plain);
    assert.deepEqual([image.header.format, image.header.machine], [format, 0x8664]);
    assert.deepEqual(
      image.sections.map(({ name, virtualSize, rawSize }) => [name, virtualSize, rawSize]),
      [
        ['.text', 4, 512],
        ['.data', 600, 1024],
        ['.bss', 4096, 0],
      ],
    );
    assert.deepEqual([image.certificates, image.findings], [[], []]);
    assert.equal(sha256(plain), byHand(plain, format, plain.length));
    const signed = makePe({ format, sections, certificates: [Buffer.alloc(100, 1), Buffer.alloc(9, 2)] });
    assert.deepEqual(parsePe(signed).certificates, [
      { size: 108, revision: 0x200, type: 2 },
      { size: 17, revision: 0x200, type: 2 },
    ]);
    assert.equal(sha256(signed), sha256(plain));
  });
}

test('every byte counts but checksum, certificate entry and certificates', () => {
  const bytes = makePe({ sections: [{ name: '.a', content: 'x' }], certificates: [Buffer.alloc(8, 1)] });
  const genuine = sha256(bytes);
  const entry = entryAt['pe32+'];
  const skipped = (index: number) =>
    (index >= at.checksum && index < at.checksum + 4) ||
    (index >= entry && index < entry + 8) ||
    index >= bytes.length - 16;
  let compared = 0;
  for (let index = 0; index < bytes.length; index++) {
    const changed = Buffer.from(bytes);
    changed[index] = (changed[index] ?? 0) ^ 1;
    const now = outcome(changed);
    if (now === 'refused') continue;
    // A changed entry names other certificates, so other bytes are left out.
    if (index >= entry && index < entry + 8) continue;
    assert.equal(now === genuine, skipped(index), `byte ${index}`);
    compared++;
  }
  assert.ok(compared > 900, `${compared} compared`);
});

function outcome(bytes: Uint8Array): string {
  try {
    return sha256(bytes);
  } catch {
    return 'refused';
  }
}

test('sections are hashed as they lie in the file, not as the table lists them', () => {
  const made: MadePe = { sections: sections.slice(0, 2) };
  const swapped = makePe({ ...made, tableOrder: [1, 0] });
  assert.deepEqual(
    parsePe(swapped).sections.map(({ name }) => name),
    ['.data', '.text'],
  );
  assert.equal(sha256(swapped), byHand(swapped, 'pe32+', swapped.length));
});

test('an image whose directory has no place for certificates is hashed whole but for the checksum', () => {
  const bytes = makePe({ sections, directories: 4 });
  const parts = [bytes.subarray(0, at.checksum), bytes.subarray(at.checksum + 4)];
  assert.equal(parsePe(bytes).header.certificateEntryAt, undefined);
  assert.equal(sha256(bytes), hash('sha256', Buffer.concat(parts)));
});

test('data behind the sections is hashed; data behind the certificates is told', () => {
  const extra = Buffer.from('appended');
  const bytes = makePe({ sections, extra });
  assert.equal(sha256(bytes), byHand(bytes, 'pe32+', bytes.length));
  const signed = makePe({ sections, extra, certificates: [Buffer.alloc(8)] });
  assert.equal(sha256(signed), sha256(bytes));
  assert.deepEqual(codeOf(signed), []);
  assert.deepEqual(parsePe(Buffer.concat([signed, Buffer.alloc(3)])).findings, [
    {
      code: 'pe_trailing_data',
      event: null,
      message: '3 bytes follow the certificates; firmwares differ in how they hash such an image',
    },
  ]);
});

test('bytes between sections are told', () => {
  const bytes = makePe({ sections: sections.slice(0, 2) });
  // .text is said to be empty, so that its 512 bytes belong to no section.
  bytes.writeUInt32LE(0, table + 16);
  assert.deepEqual(codeOf(bytes), ['pe_gap']);
  assert.match(parsePe(bytes).findings[0]?.message ?? '', /^512 bytes between the sections belong to none/);
});

test('a table of certificates that cannot be read is told, and nothing depends on it', () => {
  const bytes = makePe({ sections, certificates: [Buffer.alloc(8)] });
  bytes.writeUInt32LE(5, bytes.length - 16);
  assert.deepEqual(codeOf(bytes), ['pe_certificate_malformed']);
  assert.equal(sha256(bytes), sha256(makePe({ sections })));
});

test('names of sections cannot drive a terminal', () => {
  const bytes = makePe({ sections: [{ name: '\u001b[2J\n', content: 'x' }] });
  assert.equal(parsePe(bytes).sections[0]?.name, '\\x1b[2J\\x0a');
});

test('what is no image, or not a whole one, is refused', () => {
  const bytes = makePe({ sections });
  const write = (offset: number, value: number, size: 2 | 4) => {
    const copy = Buffer.from(bytes);
    copy.writeUIntLE(value, offset, size);
    return () => parsePe(copy);
  };
  const cut = (size: number) => () => parsePe(bytes.subarray(0, size));
  throwsCode('pe_truncated', /the DOS header takes 64 bytes at offset 0 of 0$/, cut(0));
  throwsCode('pe_truncated', /the COFF header takes 24 bytes at offset 64 of 70$/, cut(70));
  throwsCode('pe_truncated', /the optional header takes 240 bytes/, cut(100));
  throwsCode('pe_truncated', /the section table takes 120 bytes/, cut(table + 60));
  throwsCode('pe_truncated', /section 1 ends at 2048 of 1024$/, cut(1024));
  throwsCode('pe_invalid', /does not begin with MZ/, write(0, 0x7f45, 2));
  throwsCode('pe_invalid', /has its PE header at 63, inside/, write(60, 63, 4));
  throwsCode('pe_truncated', /at offset 4294967295 of/, write(60, 0xffffffff, 4));
  throwsCode('pe_invalid', /has no PE signature at 64/, write(at.pe, 1, 4));
  throwsCode('pe_invalid', /has 0 sections, 1 to 96/, write(at.pe + 6, 0, 2));
  throwsCode('pe_invalid', /has 65535 sections, 1 to 96/, write(at.pe + 6, 0xffff, 2));
  throwsCode('pe_invalid', /unknown kind 0x0107/, write(at.optional, 0x107, 2));
  throwsCode('pe_invalid', /has an optional header of 80 bytes$/, write(at.pe + 20, 80, 2));
  throwsCode('pe_invalid', /of 120 bytes and 16 directories/, write(at.pe + 20, 120, 2));
  throwsCode('pe_invalid', /headers of 100 bytes, which do not end behind/, write(at.optional + 60, 100, 4));
  throwsCode('pe_invalid', /headers of 4294967295 bytes/, write(at.optional + 60, 0xffffffff, 4));
  throwsCode('pe_truncated', /section 0 ends at 4294967807 of/, write(table + 16, 0xffffffff, 4));
  throwsCode(
    'pe_invalid',
    /a section ".text" at 0, where other content goes up to 512/,
    write(table + 20, 0, 4),
  );
  throwsCode('pe_invalid', /a section ".data" at 1024, where other/, write(table + 16, 1024, 4));
});

test('certificates inside of the content are refused', () => {
  const bytes = makePe({ sections });
  const entry = entryAt['pe32+'];
  bytes.writeUInt32LE(1024, entry);
  bytes.writeUInt32LE(16, entry + 4);
  throwsCode('pe_invalid', /has certificates at 1024, inside of its content/, () => parsePe(bytes));
  bytes.writeUInt32LE(0xfffffff0, entry + 4);
  throwsCode('pe_truncated', /the certificate table takes 4294967280 bytes/, () => parsePe(bytes));
});

test('an image beyond 1 GiB is refused before it is looked at', () => {
  const huge = { length: 1024 ** 3 + 1 } as Uint8Array;
  throwsCode('pe_too_large', /has 1073741825 bytes, at most 1073741824/, () => parsePe(huge));
});
