import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { test } from 'node:test';
import { eventType } from '../../../../src/measure/boot/event-types.js';
import { parseImaBinary } from '../../../../src/measure/ima/ima-binary.js';
import { bootLogReferences } from '../../../../src/measure/policy/reference-sources/boot-log-source.js';
import { imaReferences } from '../../../../src/measure/policy/reference-sources/ima-source.js';
import { pcrlockReferences } from '../../../../src/measure/policy/reference-sources/pcrlock-source.js';
import { agileLog, locality, separators, sha1Log } from '../../../support/boot-log-factory.js';
import { digestField, field, imaList, nameField, record, sha, sigData } from '../../../support/ima-list.js';
import { throwsCode } from '../../../support/rejects.js';
import { haveVectors, readVector } from '../../../support/vectors.js';

const about = { name: 'set', source: 'good host' };
const sha256 = (text: string) => `sha256:${hash('sha256', text)}`;

test('events of a boot go to the part of the set that their PCR belongs to', () => {
  const event = (pcr: number, data: string) => ({ pcr, type: eventType.efiAction, data });
  const measured = [0, 1, 2, 3, 4, 5, 7, 8, 9, 14].map((pcr) => event(pcr, `in ${pcr}`));
  const { set, notes } = bootLogReferences(about, agileLog([locality(3), ...measured, ...measured]));
  const digests = (list: 'firmware' | 'firmwareConfig' | 'secureBoot' | 'bootChain' | 'userspace') =>
    set[list].map(({ digest }) => digest);
  assert.deepEqual(digests('firmware'), [sha256('in 0'), sha256('in 2')]);
  assert.deepEqual(digests('firmwareConfig'), [sha256('in 1'), sha256('in 3')]);
  assert.deepEqual(digests('secureBoot'), [sha256('in 7')]);
  assert.deepEqual(digests('bootChain'), [sha256('in 4'), sha256('in 8'), sha256('in 9'), sha256('in 14')]);
  assert.deepEqual(digests('userspace'), [sha256('in 9')]);
  assert.equal(set.firmware[0]?.label, 'PCR 0 EV_EFI_ACTION, event 1');
  assert.ok(notes.includes('good host: events of PCR 5 are judged by no component'), notes.join('\n'));
  assert.ok(notes.includes('good host: PCR 0 has no separator'));
});

test('a log of SHA-1 digests gives SHA-1 references and says so', () => {
  const { set, notes } = bootLogReferences(about, sha1Log(separators()));
  assert.deepEqual(
    set.firmware.map(({ digest }) => digest),
    [`sha1:${hash('sha1', Buffer.alloc(4))}`],
  );
  assert.ok(notes.includes('good host: the log has SHA-1 digests only'));
  throwsCode('boot_log_truncated', /cut off/, () => bootLogReferences(about, Buffer.from('hello')));
});

test('a pcrlock file adds its measurements, alone or under records', () => {
  const digests = [
    { hashAlg: 'sha256', digest: hash('sha256', 'x') },
    { hashAlg: 'sha1', digest: hash('sha1', 'x') },
    { hashAlg: 'sm3_256', digest: '00' },
  ];
  const records = [
    { pcr: 4, digests },
    { pcr: 11, digests },
    { pcr: 5, digests },
  ];
  for (const document of [records, { records }]) {
    const { set, notes } = pcrlockReferences(about, Buffer.from(JSON.stringify(document)));
    assert.deepEqual(set.bootChain, [{ digest: sha256('x'), label: 'good host, PCR 4, record 0' }]);
    assert.deepEqual(set.userspace, [{ digest: sha256('x'), label: 'good host, PCR 11, record 1' }]);
    assert.deepEqual([set.firmware, set.files], [[], []]);
    assert.deepEqual(notes, ['good host: measurements of PCR 5 are judged by no component']);
  }
});

test('a pcrlock file of hashes that are not taken says so', () => {
  const records = [{ pcr: 4, digests: [{ hashAlg: 'sha512', digest: hash('sha512', 'x') }] }];
  const { set, notes } = pcrlockReferences(about, Buffer.from(JSON.stringify(records)));
  assert.deepEqual(set.bootChain, []);
  assert.deepEqual(notes, ['good host: its digests are of sha512; SHA-256, SHA-384 and SHA-1 are taken']);
});

test('of a log that a quote vouches for in part, that part is taken, in the bank of the quote', () => {
  const event = (pcr: number) => ({ pcr, type: eventType.efiAction, data: `in ${pcr}` });
  const vouched = { bank: 'sha256', pcrs: new Set([0, 7]) } as const;
  const { set, notes } = bootLogReferences(about, agileLog([event(0), event(4), event(7)]), vouched);
  assert.deepEqual(
    [set.firmware, set.bootChain, set.secureBoot].map((list) => list.map(({ digest }) => digest)),
    [[sha256('in 0')], [], [sha256('in 7')]],
  );
  assert.ok(notes.includes('good host: events of PCR 4 are left out: no quote bears them out'));
  const other = { bank: 'sha384', pcrs: new Set([0]) } as const;
  assert.deepEqual(bootLogReferences(about, agileLog([event(0)]), other).set.firmware, []);
});

test('a file that is no pcrlock file is refused by what is wrong with it', () => {
  const one = { hashAlg: 'sha256', digest: hash('sha256', 'x') };
  for (const [document, message] of [
    ['{', /^good host is not JSON: /],
    [[], /holds no list of 1 to 5000 records/],
    [{ records: {} }, /holds no list of 1 to 5000 records/],
    [Array(5_001).fill(0), /holds no list of 1 to 5000 records/],
    [[7], /names no PCR in record 0/],
    [[{ pcr: 24, digests: [one] }], /names no PCR in record 0/],
    [[{ pcr: 1.5, digests: [one] }], /names no PCR in record 0/],
    [[{ pcr: 4 }], /no list of 1 to 16 digests in record 0/],
    [[{ pcr: 4, digests: Array(17).fill(one) }], /no list of 1 to 16 digests/],
    [[{ pcr: 4, digests: [one, one] }], /two digests of one hash in record 0/],
    [[{ pcr: 4, digests: [{ digest: '00' }] }], /has no digest in record 0/],
    [[{ pcr: 4, digests: [{ hashAlg: 'sha256', digest: 'zz' }] }], /has no digest in record 0/],
    [[{ pcr: 4, digests: [{ hashAlg: 'sha256', digest: '00' }] }], /a sha256 digest of 1 bytes in record 0/],
  ] as const) {
    const bytes = Buffer.from(typeof document === 'string' ? document : JSON.stringify(document));
    throwsCode('reference_source_invalid', message, () => pcrlockReferences(about, bytes));
  }
});

const ngv2 = (label: string, path: string) =>
  record(
    'ima-ngv2',
    Buffer.concat([field(digestField(label, sha('sha256', Buffer.from(path)))), field(nameField(path))]),
  );
const made = (...records: readonly Buffer[]) => [...parseImaBinary(Buffer.concat([imaList(1), ...records]))];

test('each file of an IMA list is a reference once; boot_aggregate is none', () => {
  const twice = record('ima-sig', sigData('/usr/bin/a b'));
  const { set, notes } = imaReferences(
    about,
    made(twice, twice, ngv2('verity:sha256:', '/v'), ngv2('ima:sha256:', '/w')),
  );
  assert.deepEqual(set.files, [
    { digest: sha256('/usr/bin/a b'), path: '/usr/bin/a?b' },
    { digest: `verity:${sha256('/v')}`, path: '/v' },
    { digest: sha256('/w'), path: '/w' },
  ]);
  assert.deepEqual(notes, []);
});

test('what nobody vouches for, and what is no file, is left out and counted', () => {
  const buffer = Buffer.from('certificate');
  const key = Buffer.concat([
    field(digestField('sha256:', sha('sha256', buffer))),
    field(nameField('.ima')),
    field(buffer),
  ]);
  const sm3 = Buffer.concat([field(digestField('sm3-256:', Buffer.alloc(32, 1))), field(nameField('/sm3'))]);
  const { set, notes } = imaReferences(
    about,
    made(
      record('ima-sig', sigData('/violated'), { digest: Buffer.alloc(20) }),
      record('strange', Buffer.from('x')),
      record('ima-buf', key),
      record('ima-ng', sm3),
      record('ima-sig', sigData(`/${'x'.repeat(1100)}`)),
    ),
  );
  assert.deepEqual(set.files, []);
  assert.deepEqual(notes, [
    'good host: 1 entries left out: written to while they were measured',
    'good host: 1 entries left out: template strange is not understood',
    'good host: 1 entries left out: keys and other data, no files',
    'good host: 1 entries left out: hash sm3-256 cannot be a reference',
    'good host: 1 entries left out: their path is too long to be a pattern',
  ]);
});

test('a list that contradicts itself, that is a piece, or that is empty gives nothing', () => {
  const refused = (message: RegExp, list: Buffer) =>
    throwsCode('reference_source_invalid', message, () => imaReferences(about, parseImaBinary(list)));
  const forged = record('ima-sig', sigData('/x'), { digest: Buffer.alloc(20, 1) });
  refused(
    /^good host, entry 2: entry "\/x" is not what its template digest/,
    Buffer.concat([imaList(1), forged]),
  );
  refused(/does not begin with boot_aggregate/, record('ima-sig', sigData('/x')));
  refused(/holds no entry/, Buffer.alloc(0));
  throwsCode('ima_list_truncated', /cut off/, () =>
    imaReferences(about, parseImaBinary(imaList(3).subarray(0, -1))),
  );
});

test('the logs of a real host', (t) => {
  if (!haveVectors(t)) return;
  const files = imaReferences(about, parseImaBinary(readVector('generated/vm/ima_2.bin')));
  assert.ok(files.set.files.some(({ path }) => path === '/bin/busybox'));
  assert.deepEqual(files.notes, ['good host: 2 entries left out: written to while they were measured']);
  const { set } = bootLogReferences(about, readVector('generated/vm/bios.bin'));
  const uki = 'sha256:b498f4ba719f5bacb15976d00a15f0e743ed3e78e782e7e24cd3801e4c2c8054';
  assert.ok(set.bootChain.some(({ digest }) => digest === uki));
});
