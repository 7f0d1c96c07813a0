import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createOutput, fields, printable, printableLines, table } from '../../src/cli/output.js';

function written(format: 'pretty' | 'json') {
  let stdout = '';
  let stderr = '';
  const out = createOutput(format, {
    stdout: (text) => {
      stdout += text;
    },
    stderr: (text) => {
      stderr += text;
    },
  });
  return { out, stdout: () => stdout, stderr: () => stderr };
}

test('nothing that is printed can drive the terminal', () => {
  const hostile = 'a\u001b[2Jb\u009b31m\u202ec\u2028d\u0007';
  for (const format of ['pretty', 'json'] as const) {
    const { out, stdout, stderr } = written(format);
    out.result({ pretty: hostile, json: { hostile } });
    out.note(hostile);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these must not be there
    const bad = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2028]/;
    assert.doesNotMatch(stdout(), bad);
    assert.doesNotMatch(stderr(), bad);
    if (format === 'json') assert.deepEqual(JSON.parse(stdout()), { hostile });
  }
});

test('a value cannot fake a row', () => {
  assert.equal(printable('web\nState : trusted'), 'web\\u000aState : trusted');
  assert.equal(printableLines('one\n\ttwo\r'), 'one\n\ttwo\\u000d');
});

test('a table and a list of fields may be longer than the stack is', () => {
  const rows = Array.from({ length: 300_000 }, (_, n) => ['x'.repeat(n % 3), 'y'] as const);
  assert.match(table(['A', 'B'], rows), /^A {3}B\n {4}y\nx {3}y\nxx {2}y\n/);
  assert.match(fields(rows), /^ {3}: y\nx {2}: y\nxx : y\n/);
});

test('text for people is made only where people read it', () => {
  const { out, stdout } = written('json');
  out.result({ pretty: () => assert.fail('it was made'), json: 1 });
  assert.equal(stdout(), '1\n');
  const pretty = written('pretty');
  pretty.out.result({ pretty: () => 'text', json: 1 });
  assert.equal(pretty.stdout(), 'text\n');
});

test('any JSON is the same after it was printed', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const { out, stdout } = written('json');
      out.result({ pretty: '', json: value });
      assert.deepEqual(JSON.parse(stdout()), JSON.parse(JSON.stringify(value)));
    }),
  );
});

test('columns and fields are aligned, without blanks at the ends', () => {
  assert.equal(
    table(
      ['A', 'LONG'],
      [
        ['one', ''],
        ['x', 'y'],
      ],
    ),
    'A    LONG\none\nx    y',
  );
  assert.equal(
    fields([
      ['a', '1'],
      ['long', ''],
    ]),
    'a    : 1\nlong :',
  );
  assert.equal(fields([]), '');
});
