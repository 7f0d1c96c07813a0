import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { briefText, pathText } from '../../src/measure/path-text.js';

test('a path is one line without anything that drives a terminal, and two paths never look alike', () => {
  const seen = new Map<string, string>();
  const part = fc.oneof(
    fc.uint8Array({ maxLength: 6 }),
    fc.constantFrom('/', '\\', '\\x0a', '\n', '\u202e', 'ä', '\u2028', '😀').map((text) => Buffer.from(text)),
  );
  fc.assert(
    fc.property(fc.array(part, { maxLength: 4 }), (parts) => {
      const bytes = Buffer.concat(parts);
      const text = pathText(bytes);
      assert.doesNotMatch(text, /[\p{C}\p{Zl}\p{Zp}]/u);
      const before = seen.get(text);
      assert.ok(before === undefined || before === bytes.toString('hex'), text);
      seen.set(text, bytes.toString('hex'));
    }),
    { numRuns: 3000 },
  );
});

test('a byte that is no UTF-8 is told apart from the letter of that number', () => {
  assert.equal(pathText(Buffer.from([0x2f, 0xe4])), '/\\xe4');
  assert.equal(pathText(Buffer.from('/ä')), '/ä');
  assert.equal(pathText(Buffer.from('/\u0085')), '/\\u{85}');
  assert.equal(pathText(Buffer.from('/a\\b')), '/a\\\\b');
});

test('of a long name the beginning is shown, cut between two letters', () => {
  const brief = briefText(Buffer.from(`/${'€'.repeat(1000)}`));
  assert.match(brief, /^\/€{99}…$/);
  const short = Buffer.from('x'.repeat(300));
  assert.equal(briefText(short), 'x'.repeat(300));
  assert.equal(briefText(Buffer.alloc(1_000_000, 0x80)).length, 4 * 296 + 1);
});
