import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compileGlob, compileWordGlob, MAX_GLOB_LENGTH } from '../../../src/measure/policy/glob.js';
import { throwsCode } from '../../support/rejects.js';

function assertMatches(pattern: string, good: readonly string[], bad: readonly string[]): void {
  const matches = compileGlob(pattern);
  for (const text of good) assert.ok(matches(text), `${pattern} must match ${JSON.stringify(text)}`);
  for (const text of bad) assert.ok(!matches(text), `${pattern} must not match ${JSON.stringify(text)}`);
}

test('a pattern without wildcards matches itself alone', () => {
  assertMatches('/usr/bin/[a]{b}.c\\d', ['/usr/bin/[a]{b}.c\\d'], ['/usr/bin/a', '', '/usr/bin/[a]{b}xc\\d']);
});

test('a star stays within one segment of a path', () => {
  assertMatches('/usr/bin/*', ['/usr/bin/', '/usr/bin/ls'], ['/usr/bin', '/usr/bin/a/b']);
  assertMatches('/usr/*/x*.so', ['/usr/lib/x.so', '/usr/l/x1.so'], ['/usr/lib/a/x.so', '/usr/lib/x.so.1']);
  assertMatches('*', ['', 'abc'], ['/', 'a/b']);
});

test('two stars go across segments', () => {
  assertMatches('**', ['', '/', '/a/b'], []);
  assertMatches('/var/lib/**', ['/var/lib/', '/var/lib/a/b'], ['/var/lib', '/var/libx']);
  assertMatches('/a**z', ['/az', '/a/b/z', '/a/z'], ['/a/b', '/A/z']);
});

test('two stars between slashes also stand for no segment', () => {
  assertMatches('/usr/**/python3', ['/usr/python3', '/usr/a/b/python3'], ['/usr/xpython3', '/usrpython3']);
  assertMatches('**/core', ['core', '/core', 'a/core'], ['xcore']);
  assertMatches('/a/**/**/b', ['/a/b', '/a/x/b', '/a/x/y/b'], ['/a/xb', '/ab']);
  assertMatches('/a/**/', ['/a/', '/a/b/'], ['/a', '/a/b']);
  assertMatches('a**/b', ['a/b', 'ax/b', 'a/x/b'], ['ab', 'axb']);
});

test('a question mark is one character, whatever its length in bytes, and no slash', () => {
  assertMatches('/a?c', ['/abc', '/aéc', '/a😀c', '/a?c'], ['/ac', '/a/c', '/abbc']);
});

test('a pattern that is empty, too long or unclear is refused and says why', () => {
  throwsCode('glob_invalid', /^pattern "" is empty$/, () => compileGlob(''));
  const long = 'a'.repeat(MAX_GLOB_LENGTH + 1);
  throwsCode('glob_invalid', /^pattern "a{100}" is longer than 1024 characters$/, () => compileGlob(long));
  throwsCode('glob_invalid', /has more than two stars in a row$/, () => compileGlob('/a/***'));
  throwsCode('glob_invalid', /^pattern "\/a\\nb" holds a control character$/, () => compileGlob('/a\nb'));
});

/** The same meaning, written down as a search without any care for time. */
function slow(pattern: string, text: string, opens = true): boolean {
  if (pattern === '') return text === '';
  if (pattern.startsWith('**')) {
    const rest = pattern.slice(2);
    if (opens && rest.startsWith('/') && slow(rest.slice(1), text, true)) return true;
    for (let at = 0; at <= text.length; at++) if (slow(rest, text.slice(at), false)) return true;
    return false;
  }
  const head = pattern[0];
  if (head === '*') {
    if (slow(pattern.slice(1), text, false)) return true;
    return text !== '' && text[0] !== '/' && slow(pattern, text.slice(1), opens);
  }
  if (text === '' || (head === '?' ? text[0] === '/' : head !== text[0])) return false;
  return slow(pattern.slice(1), text.slice(1), head === '/');
}

test('every short pattern agrees with a plain search', () => {
  const letters = fc.constantFrom('a', 'b', '/', '*', '?', '**', '/**/');
  const pattern = fc.array(letters, { minLength: 1, maxLength: 8 }).map((parts) => parts.join(''));
  const text = fc.string({ unit: fc.constantFrom('a', 'b', '/'), maxLength: 10 });
  fc.assert(
    fc.property(
      pattern.filter((p) => !p.includes('***')),
      text,
      (p, t) => {
        assert.equal(compileGlob(p)(t), slow(p, t));
        assert.equal(compileWordGlob(p)(t), slow(p.replace(/\*+/g, '**'), t));
        // The same across the border between two words of states.
        const pad = 30 + (t.length % 3);
        if (!p.startsWith('*'))
          assert.equal(compileGlob('?'.repeat(pad) + p)('a'.repeat(pad) + t), slow(p, t));
      },
    ),
    { numRuns: 20_000, seed: 4 },
  );
});

test('patterns of more states than one word holds agree with a plain search', () => {
  const base = 'abcdefgh/'.repeat(9);
  assertMatches(`${base}**/${base}*z`, [`${base}${base}z`, `${base}x/${base}yyz`], [`${base}x${base}z`]);
  assertMatches(`*${'?'.repeat(64)}b`, [`${'a'.repeat(64)}b`, `${'a'.repeat(99)}b`], [`${'a'.repeat(63)}b`]);
});

test('a hostile pattern on a hostile text takes no longer than a long one', () => {
  const hostile = `${'a*'.repeat(400)}/${'**/'.repeat(40)}b`;
  const matches = compileGlob(hostile);
  const started = performance.now();
  assert.equal(matches('a'.repeat(16_384)), false);
  assert.equal(matches('a/'.repeat(8_192)), false);
  assert.ok(performance.now() - started < 500);
});

test('in a word every star goes across slashes, and it may become longer than a pattern that is written', () => {
  const matches = compileWordGlob('*a'.repeat(512));
  assert.equal(matches('/a'.repeat(512)), true);
  assert.equal(matches('/a'.repeat(511)), false);
});
