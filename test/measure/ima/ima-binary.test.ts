import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TouchmarkError } from '../../../src/errors.js';
import { imaBinaryReader, parseImaBinary } from '../../../src/measure/ima/ima-binary.js';
import { imaReplay } from '../../../src/measure/ima/ima-replay.js';
import { imaList, record, sigData } from '../../support/ima-list.js';
import { throwsCode } from '../../support/rejects.js';
import { haveVectors, readVector } from '../../support/vectors.js';

function pcr10(bytes: Uint8Array): string {
  const replay = imaReplay('sha256');
  for (const one of parseImaBinary(bytes)) replay.extend(one);
  return Buffer.from(replay.value(10) ?? []).toString('hex');
}

test('a list in pieces of any size gives each record once, as a whole list does', () => {
  const list = imaList(40);
  const whole = [...parseImaBinary(list)];
  assert.equal(whole.length, 40);
  for (const size of [1, 7, 107, 1000, list.length]) {
    const reader = imaBinaryReader();
    const pieces = [];
    for (let at = 0; at < list.length; at += size) pieces.push(...reader.push(list.subarray(at, at + size)));
    reader.end();
    assert.deepEqual(pieces, whole, `pieces of ${size}`);
  }
});

test('a piece further on goes on counting', () => {
  const [first] = parseImaBinary(imaList(1), { before: 41 });
  assert.equal(first?.event, 42);
});

test('a list that ends in a record is cut off, wherever it ends', () => {
  const list = imaList(2);
  const first = imaList(1).length;
  for (let end = 1; end < list.length; end++) {
    if (end === first) continue;
    const task = () => [...parseImaBinary(list.subarray(0, end))];
    throwsCode('ima_list_truncated', /cut off in entry [12]: \d+ bytes are not a whole entry/, task);
  }
});

test('sizes are bounded as soon as they are read', () => {
  const list = record('ima-sig', sigData('/a'));
  const at = (offset: number, value: number) => {
    const copy = Buffer.from(list);
    copy.writeUInt32LE(value, offset);
    return () => [...imaBinaryReader().push(copy.subarray(0, Math.max(offset + 4, 28)))];
  };
  throwsCode(
    'ima_list_too_large',
    /data of entry 1 is said to have 2147483647/,
    at(4 + 20 + 4 + 7, 0x7fffffff),
  );
  throwsCode('ima_list_too_large', /template name of entry 1 is said to have 4294967295/, at(24, 0xffffffff));
  throwsCode('ima_list_invalid', /entry 1 of the IMA list names PCR 24/, at(0, 24));
  const named = record('ima\nsig', sigData('/a'));
  throwsCode('ima_list_invalid', /template name "ima\\nsig"/, () => [...parseImaBinary(named)]);
});

test('the hostile vectors fail fast and by name', (t) => {
  if (!haveVectors(t)) return;
  const read = (name: string) => () => [...parseImaBinary(readVector(`generated/attack/${name}`))];
  throwsCode('ima_list_truncated', /cut off in entry 137/, read('ima_truncated.bin'));
  throwsCode('ima_list_too_large', /2147483647 bytes/, read('ima_huge_template_len.bin'));
});

/** Where each byte of a list of `ima-sig` records is hashed: a walk of its own. */
function hashedBytes(list: Buffer): Set<number> {
  const hashed = new Set<number>();
  for (let at = 0; at < list.length; ) {
    const data = at + 28 + list.readUInt32LE(at + 24) + 4;
    const end = data + list.readUInt32LE(data - 4);
    for (let byte = data; byte < end; byte++) hashed.add(byte);
    at = end;
  }
  return hashed;
}

test('2 000 mutations: none crashes, none that changes what is hashed replays to the same PCR 10', () => {
  const list = imaList(30);
  const genuine = pcr10(list);
  const hashed = hashedBytes(list);
  let seed = 20261124;
  const random = (below: number) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
  let parsed = 0;
  for (let round = 0; round < 2000; round++) {
    const copy = Buffer.from(list);
    const at = random(copy.length);
    copy[at] = (copy[at] ?? 0) ^ (1 + random(255));
    try {
      const value = pcr10(copy);
      parsed += 1;
      if (hashed.has(at)) assert.notEqual(value, genuine, `byte ${at} in round ${round}`);
    } catch (error) {
      assert.ok(error instanceof TouchmarkError, `round ${round}: ${String(error)}`);
    }
  }
  assert.ok(parsed > 1000, `${parsed} parsed`);
});

test('entries that are dropped, doubled, swapped or cut off at a border never replay to the same PCR 10', () => {
  const records = [...Array(12).keys()].map((n) => record('ima-sig', sigData(`/file-${n}`)));
  const genuine = pcr10(Buffer.concat(records));
  for (let n = 0; n < 12; n++) {
    const [one = Buffer.alloc(0)] = records.slice(n, n + 1);
    const dropped = records.toSpliced(n, 1);
    const doubled = records.toSpliced(n, 0, one);
    const swapped = [...dropped.slice(0, (n + 5) % 12), one, ...dropped.slice((n + 5) % 12)];
    for (const forged of [dropped, doubled, swapped, records.slice(0, n)]) {
      assert.notEqual(pcr10(Buffer.concat(forged)), genuine);
    }
  }
});
