import assert from 'node:assert/strict';
import { test } from 'node:test';
import { agentKeys } from '../../src/config/agent-keys.js';
import { checkDocument, key, parseDuration } from '../../src/config/check.js';
import { configPage } from '../../src/config/manual-page.js';
import { expandEnvironment, readDocument } from '../../src/config/read.js';
import { serverKeys } from '../../src/config/server-keys.js';

test('durations add their parts and nothing else is a duration', () => {
  assert.equal(parseDuration('1h30m'), 5400);
  assert.equal(parseDuration('2d'), 172_800);
  assert.equal(parseDuration('0s'), 0);
  for (const bad of ['', '1', 'h', '1.5h', '-1h', '1h ', '1w', '1H'])
    assert.equal(parseDuration(bad), undefined);
});

test('each type refuses the others with a sentence', () => {
  const keys = [
    key('s', 'string', ''),
    key('b', 'boolean', ''),
    key('i', 'integer', '', { min: 2, max: 4 }),
    key('l', 'strings', ''),
    key('n', 'integers', ''),
  ];
  const messages = (text: string) => {
    const { document } = readDocument('f', text);
    assert.ok(document);
    return checkDocument(document, keys).problems.map((problem) => problem.message);
  };
  assert.deepEqual(messages('s = 1'), ['s: must be a string']);
  assert.deepEqual(messages('b = "true"'), ['b: must be true or false']);
  assert.deepEqual(messages('i = 5'), ['i: must be between 2 and 4, not 5']);
  assert.deepEqual(messages('i = 2.5'), ['i: must be a whole number']);
  assert.deepEqual(messages('l = [1]'), ['l: must be a list of strings']);
  assert.deepEqual(messages('n = ["a"]'), ['n: must be a list of whole numbers']);
  assert.deepEqual(messages('s = "x"\nb = true\ni = 3\nl = []\nn = [1, 2]'), []);
});

test('an unset variable becomes empty', () => {
  assert.equal(expandEnvironment(`a=$A b=$${'{B}'} c=$`, { A: '1' }), 'a=1 b= c=$');
});

for (const [name, keys] of [
  ['server', serverKeys],
  ['agent', agentKeys],
] as const) {
  test(`every key of the ${name} is documented once and its default is valid`, () => {
    assert.equal(new Set(keys.map((row) => row.path)).size, keys.length);
    const page = configPage(name, '5', '', keys);
    for (const row of keys) {
      assert.ok(row.doc.endsWith('.'), `${row.path} needs a sentence`);
      assert.ok(page.includes(`### \`${row.path}\``));
      if (row.type === 'duration' && row.default !== undefined)
        assert.ok(parseDuration(String(row.default)) !== undefined);
      if (row.choices && row.default !== undefined) assert.ok(row.choices.includes(String(row.default)));
    }
  });
}
