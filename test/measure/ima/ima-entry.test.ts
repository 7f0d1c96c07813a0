import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseImaAscii } from '../../../src/measure/ima/ima-ascii.js';
import { parseImaBinary } from '../../../src/measure/ima/ima-binary.js';
import { readImaEntry } from '../../../src/measure/ima/ima-entry.js';
import { findingsOf } from '../../../src/measure/ima/ima-findings.js';
import { digestMatches, firstMatchingPrefix, imaReplay } from '../../../src/measure/ima/ima-replay.js';
import { pathText } from '../../../src/measure/path-text.js';
import { digestField, field, nameField, record, sha, sigData } from '../../support/ima-list.js';
import { throwsCode } from '../../support/rejects.js';

const digest = sha('sha256', Buffer.from('content'));
const hex = digest.toString('hex');
const one = (template: string, ...fields: Buffer[]) => {
  const [parsed = assert.fail()] = parseImaBinary(record(template, Buffer.concat(fields.map(field))));
  return parsed;
};
const codes = (parsed: Parameters<typeof findingsOf>[0]) =>
  findingsOf({ ...parsed, event: 2 }).map(({ code }) => code);

test('every template is read, and its text line is the same data', () => {
  const d = digestField('sha256:', digest);
  const verity = digestField('verity:sha256:', digest);
  const name = nameField('/bin/a');
  const sig = Buffer.of(3, 2, 4, 1);
  const rows: [string, Buffer[], string][] = [
    ['ima-ng', [d, name], `sha256:${hex} /bin/a`],
    ['ima-sig', [d, name, sig], `sha256:${hex} /bin/a 03020401`],
    ['ima-ngv2', [verity, name], `verity:sha256:${hex} /bin/a`],
    ['ima-sigv2', [verity, name, sig], `verity:sha256:${hex} /bin/a 03020401`],
    ['ima-modsig', [d, name, Buffer.alloc(0), d, Buffer.of(1)], `sha256:${hex} /bin/a  sha256:${hex} 01`],
    ['ima-buf', [d, name, Buffer.from('content')], `sha256:${hex} /bin/a 636f6e74656e74`],
    ['d-ng|n-ng', [d, name], `sha256:${hex} /bin/a`],
  ];
  for (const [template, fields, text] of rows) {
    const parsed = one(template, ...fields);
    const entry = readImaEntry(parsed);
    assert.equal(entry.problem, undefined, template);
    assert.equal(entry.path?.text, '/bin/a', template);
    assert.deepEqual(Buffer.from(entry.fileDigest?.digest ?? []), digest, template);
    assert.equal(entry.fileDigest?.of, template.endsWith('v2') ? 'verity' : 'file', template);
    assert.deepEqual(codes(parsed), [], template);
    const line = `10 ${Buffer.from(parsed.templateDigest).toString('hex')} ${template} ${text}\n`;
    const [fromText] = parseImaAscii(Buffer.from(line));
    assert.deepEqual(Buffer.from(fromText?.data ?? []), Buffer.from(parsed.data), template);
    assert.ok(digestMatches(parsed), template);
  }
});

test('an unknown template is opaque and still replayed; its text line is refused', () => {
  const parsed = one('evm-sig', Buffer.from('anything'));
  const entry = readImaEntry(parsed);
  assert.deepEqual([entry.path, entry.fileDigest, entry.problem], [undefined, undefined, undefined]);
  assert.deepEqual(codes(parsed), ['ima_template_unknown']);
  const replay = imaReplay('sha256');
  replay.extend(parsed);
  const want = sha('sha256', Buffer.concat([Buffer.alloc(32), sha('sha256', parsed.data)]));
  assert.deepEqual(Buffer.from(replay.value(10) ?? []), want);
  const line = Buffer.from(`10 ${'11'.repeat(20)} evm-sig x y\n`);
  throwsCode('ima_template_unsupported', /line 1 of the IMA list has template evm-sig/, () => [
    ...parseImaAscii(line),
  ]);
});

test('a template name that does not fit its data is told, since no digest covers the name', () => {
  const d = digestField('sha256:', digest);
  const name = nameField('/bin/a');
  assert.deepEqual(codes(one('ima-ngv2', d, name)), ['ima_entry_malformed']);
  assert.deepEqual(codes(one('ima-ng', d, name, Buffer.alloc(0))), ['ima_entry_malformed']);
  assert.deepEqual(codes(one('ima-sig', d, name)), ['ima_entry_malformed']);
  assert.deepEqual(codes(one('ima-sig', d, name, Buffer.from('content'))), ['ima_entry_malformed']);
  assert.deepEqual(codes(one('ima-buf', d, name, Buffer.of(3, 2, 4))), ['ima_buffer_digest_mismatch']);
  assert.deepEqual(codes(one('ima-ng', digestField('sha256:', Buffer.alloc(20)), name)), [
    'ima_entry_malformed',
  ]);
});

test('a violation extends ones in every bank, and nothing vouches for its path', () => {
  const [parsed = assert.fail()] = parseImaBinary(
    record('ima-sig', sigData('/a'), { digest: Buffer.alloc(20) }),
  );
  assert.deepEqual(codes(parsed), ['ima_violation']);
  for (const [bank, size] of [
    ['sha1', 20],
    ['sha256', 32],
    ['sha512', 64],
  ] as const) {
    const replay = imaReplay(bank);
    replay.extend(parsed);
    const want = sha(bank, Buffer.concat([Buffer.alloc(size), Buffer.alloc(size, 0xff)]));
    assert.deepEqual(Buffer.from(replay.value(10) ?? []), want, bank);
  }
});

test('a replay goes on from given values, by PCR; old kernels pad SHA-1', () => {
  const records = [
    ...parseImaBinary(
      Buffer.concat([record('ima-sig', sigData('/a')), record('ima-sig', sigData('/b'), { pcr: 11 })]),
    ),
  ];
  const whole = imaReplay('sha256');
  for (const parsed of records) whole.extend(parsed);
  assert.deepEqual([...whole.values().keys()], [10, 11]);
  const [first = assert.fail(), second = assert.fail()] = records;
  const before = imaReplay('sha256');
  before.extend(first);
  const after = imaReplay('sha256', { start: before.values() });
  after.extend(second);
  assert.deepEqual(after.values(), whole.values());
  const padded = imaReplay('sha256', { paddedSha1: true });
  padded.extend(first);
  const want = sha('sha256', Buffer.concat([Buffer.alloc(32), sha('sha1', first.data), Buffer.alloc(12)]));
  assert.deepEqual(Buffer.from(padded.value(10) ?? []), want);
  assert.deepEqual(codes(second), ['ima_pcr_unexpected']);
});

test('the first prefix is found, also the empty one; other PCRs count but are not asked about', () => {
  const list = [
    record('ima-sig', sigData('/a')),
    record('ima-sig', sigData('/b'), { pcr: 11 }),
    record('ima-sig', sigData('/c')),
  ];
  const records = [...parseImaBinary(Buffer.concat(list))];
  const replay = imaReplay('sha256');
  for (const parsed of records) replay.extend(parsed);
  const last = Buffer.from(replay.value(10) ?? []);
  let asked = 0;
  const count = firstMatchingPrefix(records, (value) => {
    asked += 1;
    return last.equals(value);
  });
  assert.deepEqual([count, asked], [3, 3]);
  assert.equal(
    firstMatchingPrefix(records, (value) => value.every((byte) => byte === 0)),
    0,
  );
  assert.equal(
    firstMatchingPrefix(records, () => false),
    undefined,
  );
});

test('a second boot_aggregate and a missing first one are findings', () => {
  const [parsed = assert.fail()] = parseImaBinary(record('ima-sig', sigData('boot_aggregate')));
  assert.deepEqual(findingsOf(parsed), []);
  assert.deepEqual(codes(parsed), ['ima_boot_aggregate_repeated']);
});

test('hostile paths keep their bytes and are shown on one line, each differently', () => {
  const paths = ['/a\nb', '/a\\x0ab', '/a\u202eb', '/a\u0080b', '/ä', '/a b'].map((path) =>
    Buffer.from(path),
  );
  paths.push(Buffer.of(0x2f, 0x61, 0x80, 0x62), Buffer.of(0x2f, 0xff), Buffer.of(0x2f, 0xc3, 0xa4, 0xff));
  const texts = paths.map((path) => {
    const entry = readImaEntry(
      one('ima-sig', digestField('sha256:', digest), nameField(path), Buffer.alloc(0)),
    );
    assert.deepEqual(Buffer.from(entry.path?.bytes ?? []), path);
    return entry.path?.text ?? '';
  });
  assert.equal(new Set(texts).size, paths.length);
  assert.ok(
    texts.every((text) => !/[\p{C}\n]/u.test(text)),
    texts.join(),
  );
  assert.equal(pathText(Buffer.from('/a\nb')), '/a\\x0ab');
  const nul = one('ima-sig', digestField('sha256:', digest), nameField('/a\0b'), Buffer.alloc(0));
  assert.equal(readImaEntry(nul).problem, 'its name does not end in its only NUL');
});

test('a newline in a path makes no second entry of a text list pass', () => {
  const path = `/x\n10 ${'22'.repeat(20)} ima-sig sha256:${hex} /bin/good`;
  const parsed = one('ima-sig', digestField('sha256:', digest), nameField(path), Buffer.alloc(0));
  const said = Buffer.from(parsed.templateDigest).toString('hex');
  const records = [...parseImaAscii(Buffer.from(`10 ${said} ima-sig sha256:${hex} ${path} \n`))];
  assert.deepEqual(
    records.map((each) => digestMatches(each)),
    [false, false],
  );
  const plain = Buffer.from(`10 ${said} ima-sig sha256:${hex} /x\ny \n`);
  throwsCode('ima_list_invalid', /line 2 of the IMA list does not begin with a PCR/, () => [
    ...parseImaAscii(plain),
  ]);
});

test('text lines that no kernel writes are refused', () => {
  const sha1 = '11'.repeat(20);
  const bad: [string, RegExp][] = [
    [`10 ${sha1} ima-ng sha256:${hex} /a b\n`, /more fields than template ima-ng/],
    [`10 ${sha1} ima-ng sha256:xyz /a\n`, /field d-ng that does not fit/],
    [`10 11 ima-ng sha256:${hex} /a\n`, /no template digest of 20 bytes/],
    [`99 ${sha1} ima-ng sha256:${hex} /a\n`, /names PCR 99/],
    [`10 ${sha1} ima ${sha1}\n`, /not digest and name/],
    ['\n', /does not begin with a PCR/],
  ];
  for (const [line, message] of bad)
    throwsCode('ima_list_invalid', message, () => [...parseImaAscii(Buffer.from(line))]);
  const cut = Buffer.from(`10 ${sha1} ima-ng sha256:${hex} /a`);
  throwsCode('ima_list_truncated', /line 1: it does not end in a newline/, () => [...parseImaAscii(cut)]);
});
