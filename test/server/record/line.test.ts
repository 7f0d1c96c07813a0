import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { nextLine, parseLine } from '../../../src/server/record/line.js';
import { boundedFields, cutText, GENESIS, limits } from '../../../src/server/record/model.js';
import { throwsCode } from '../../support/rejects.js';

const origin = { at: 1_790_000_000_000, by: 'uid 0', storeRevision: 4 };
const draft = { name: 'host_allowed', subject: 'a', fields: { b: ['1', '2'], a: 'x' } };

function lineOf(event = draft): Buffer {
  return nextLine(GENESIS, event, origin).line;
}

/** A line with a right hash over whatever its text is. */
async function rehashed(change: (text: string) => string): Promise<Buffer> {
  const { createHash } = await import('node:crypto');
  const body = change(lineOf().toString('utf8').slice(0, -75));
  const hash = createHash('sha256').update(`touchmark-record-v1\n${body}}`).digest('hex');
  return Buffer.from(`${body},"hash":"${hash}"}`);
}

test('a line is its members in one order, and the hash over exactly these bytes under a label of its own', () => {
  assert.match(
    lineOf().toString('utf8'),
    /^\{"seq":1,"at":1790000000000,"name":"host_allowed","subject":"a","by":"uid 0","fields":\{"a":"x","b":\["1","2"\]\},"store_revision":4,"prev":"0{64}","hash":"[0-9a-f]{64}"\}$/,
  );
});

test('what is written is what is read, whatever the texts are', () => {
  const text = fc.string({ unit: 'binary', maxLength: 40 });
  const fields = fc.dictionary(
    fc.string({ minLength: 1, maxLength: 8 }),
    fc.oneof(text, fc.array(text, { maxLength: 3 })),
  );
  fc.assert(
    fc.property(text, text, fields, (subject, by, all) => {
      const { event, line } = nextLine(GENESIS, { name: 'x', subject, fields: all }, { ...origin, by });
      const read = parseLine(line);
      assert.deepEqual({ ...read, fields: { ...read.fields } }, { ...event, fields: { ...all } });
      assert.equal(line.includes(0x0a), false);
    }),
    { numRuns: 300 },
  );
});

test('a line that another program wrote, with a right hash, is refused where it is not ours to the byte', async () => {
  const cases: [RegExp, (text: string) => string][] = [
    [/is not written as this log writes/, (text) => text.replace('"at":', '"at": ')],
    [
      /is not written as this log writes/,
      (text) => text.replace('{"a":"x","b":["1","2"]}', '{"b":["1","2"],"a":"x"}'),
    ],
    [
      /is not written as this log writes/,
      (text) => text.replace('"subject":"a"', '"subject":"z","subject":"a"'),
    ],
    [/is not written as this log writes/, (text) => `${text},"extra":1`],
    [/is not JSON/, (text) => text.replace('"by":', 'by:')],
    [/has a field that is not text/, (text) => text.replace('"x"', '5')],
    [/has no fields/, (text) => text.replace(/"fields":\{.*?\},/, '"fields":[],')],
    [/has no name/, (text) => text.replace('host_allowed', 'Host Allowed')],
    [/has no whole number as seq/, (text) => text.replace('"seq":1', '"seq":-1')],
    [
      /has no whole number as store_revision/,
      (text) => text.replace('"store_revision":4', '"store_revision":4.5'),
    ],
    [/has no text as by/, (text) => text.replace('"by":"uid 0"', '"by":null')],
    [/has no hash of the line before/, (text) => text.replace('000000"', '"')],
  ];
  for (const [message, change] of cases) {
    const line = await rehashed(change);
    throwsCode('record_line_invalid', message, () => parseLine(line), String(message));
  }
  assert.equal(parseLine(await rehashed((text) => text)).seq, 1);
});

test('a line without its hash, or with another one, is refused', () => {
  const line = lineOf();
  throwsCode('record_line_invalid', /does not end in its hash/, () => parseLine(Buffer.from('{}')));
  throwsCode('record_line_invalid', /does not end in its hash/, () => parseLine(line.subarray(0, -1)));
  const other = Buffer.from(line.toString('utf8').replace('"subject":"a"', '"subject":"b"'));
  throwsCode('record_line_invalid', /does not have the hash that it names/, () => parseLine(other));
});

test('what comes from outside is cut to size before it is written', () => {
  const long = 'x'.repeat(5000);
  const cut = boundedFields({ long, many: Array.from({ length: 50 }, () => long), none: undefined });
  assert.deepEqual(Object.keys(cut), ['long', 'many']);
  assert.equal(Buffer.byteLength(String(cut['long'])), limits.text);
  assert.equal(cut['many']?.length, limits.items);
});

test('a text is cut by the bytes that it takes in a line, between characters', () => {
  const written = (text: string) => Buffer.byteLength(JSON.stringify(text)) - 2;
  const fits = 'é'.repeat(limits.text / 2);
  assert.equal(cutText(fits, limits.text), fits);
  for (const character of ['\u0001', '€', '🔑', '\ud800', '"', 'x']) {
    const cut = cutText(character.repeat(4000), limits.text);
    assert.ok(written(cut) <= limits.text && written(cut) > limits.text - 10, JSON.stringify(character));
    assert.equal(cut, `${character.repeat([...cut].length - 1)}…`);
  }
});

test('no line is longer than what readers take, however many fields an event has', () => {
  const many = Array.from({ length: limits.items }, () => '\u0001'.repeat(1000));
  const fields = Object.fromEntries(Array.from({ length: 12 }, (_, at) => [`field_${at}`, many]));
  const { event, line } = nextLine(GENESIS, { name: 'x', subject: 's', fields }, origin);
  assert.ok(line.length <= limits.line && line.length > limits.line / 4, `${line.length} bytes`);
  assert.deepEqual(parseLine(line), event);
  assert.equal(event.fields['field_11']?.length, limits.items);
});
