import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { TouchmarkError } from '../../src/errors.js';
import { decodeBase64, decodeBase64url } from '../../src/spiffe/base64url.js';
import { parseJson, parseJsonObject, writeJson } from '../../src/spiffe/json.js';
import { throwsCode } from '../support/rejects.js';

const refuses = (message: RegExp, text: string, options = {}) =>
  throwsCode('json_invalid', message, () => parseJson(text, options), text.slice(0, 60));
/** For comparing: with prototypes, and with big integers rounded as JSON.parse rounds them. */
const plain = (value: unknown) =>
  JSON.parse(JSON.stringify(value, (_, member) => (typeof member === 'bigint' ? Number(member) : member)));

test('what JSON.stringify writes is read as JSON.parse reads it', () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 6 }), fc.nat(3), (text, indent) => {
      const spaced = JSON.stringify(JSON.parse(text), null, indent);
      assert.deepEqual(plain(parseJson(spaced)), JSON.parse(text));
      assert.deepEqual(plain(parseJson(Buffer.from(spaced))), JSON.parse(text));
    }),
  );
});

test('what JSON.parse refuses is refused', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 12, unit: fc.constantFrom(...'{}[]",:0123-+.eE\\u tfn') }), (text) => {
      let expected: unknown;
      try {
        expected = JSON.parse(text);
      } catch {
        assert.throws(() => parseJson(text), TouchmarkError, text);
        return;
      }
      try {
        assert.deepEqual(plain(parseJson(text)), plain(expected));
      } catch (error) {
        assert.match(String(error), /twice|too large/, text);
      }
    }),
    { numRuns: 5000 },
  );
});

test('integers keep every digit, both ways', () => {
  for (const digits of ['9007199254740993', '18446744073709551615', '-9007199254740993']) {
    const value = parseJson(digits);
    assert.equal(value, BigInt(digits));
    assert.equal(writeJson(value), digits);
  }
  assert.equal(parseJson('9007199254740991'), 9007199254740991);
  assert.deepEqual(parseJson('[1,1.0,1e0]', { bigIntegers: true }), [1n, 1, 1]);
  refuses(/number that is too large/, '1e400');
  refuses(/integer that is too long/, '1'.repeat(65));
});

test('BM-04 and section 15: a name that comes twice is refused, however it is written', () => {
  refuses(/has the name "a" twice/, '{"a":1,"a":1}');
  refuses(/has the name "a" twice/, '{"a":1,"\\u0061":1}');
  refuses(/has the name "__proto__" twice/, '{"__proto__":1,"__proto__":1}');
  assert.equal(parseJsonObject('{"a":{"a":1}}')['toString'], undefined);
});

test('names of object members never reach a prototype', () => {
  const object = parseJsonObject('{"__proto__":{"admin":true},"constructor":1}');
  assert.equal(object['admin'], undefined);
  assert.deepEqual(Object.keys(object), ['__proto__', 'constructor']);
  assert.equal(writeJson(object), '{"__proto__":{"admin":true},"constructor":1}');
});

test('size and depth are bounded', () => {
  refuses(/longer than 3 bytes/, '[12]', { maxLength: 3 });
  refuses(/nested more than 32 deep/, '['.repeat(100_000));
  assert.ok(parseJson(`${'['.repeat(32)}${']'.repeat(32)}`));
  refuses(/nested more than 1 deep/, '[[[1]]]', { maxDepth: 1 });
});

test('broken UTF-8, a byte order mark and half surrogates are refused', () => {
  throwsCode('json_invalid', /not in UTF-8/, () => parseJson(Buffer.from([0x22, 0xff, 0x22])));
  throwsCode('json_invalid', /no value where one belongs/, () => parseJson(Buffer.from('\ufeff{}')));
  refuses(/half of a surrogate pair/, '"\\ud800"');
  assert.equal(parseJson('"\\ud83d\\ude00"'), '😀');
});

test('what stands where an object belongs is refused', () => {
  for (const text of ['[]', 'null', '1', '"{}"']) {
    throwsCode('json_invalid', /is not an object/, () => parseJsonObject(text));
  }
  refuses(/something after its end/, '{} {}');
  refuses(/lacks a colon/, '{"a" 1}');
  refuses(/lacks a string/, '{a:1}');
  refuses(/object that does not end/, '{"a":1');
  refuses(/array that does not end/, '[1');
  refuses(/unknown word/, 'nul');
});

test('base64 decoders take the canonical form of their own alphabet only', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const buffer = Buffer.from(bytes);
      assert.deepEqual(decodeBase64url(buffer.toString('base64url')), buffer);
      assert.deepEqual(decodeBase64(buffer.toString('base64')), buffer);
    }),
  );
  for (const bad of ['a', 'YQ==', 'YR', '+w', 'Y Q', 'YQ\n'])
    assert.equal(decodeBase64url(bad), undefined, bad);
  for (const bad of ['YQ', 'YR==', '_w==', 'YQ==\n', 'YQ=', 'Y'])
    assert.equal(decodeBase64(bad), undefined, bad);
});
