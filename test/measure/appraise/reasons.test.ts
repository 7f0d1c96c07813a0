import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { reasonTable, remedyOf } from '../../../src/measure/appraise/reasons.js';
import { repoRoot } from '../../support/root.js';

const read = (folder: string) => {
  const path = join(repoRoot(), folder);
  return readdirSync(path).map((name) => ({ name, text: readFileSync(join(path, name), 'utf8') }));
};

test('every reason has a remedy of one sentence or two, and is used somewhere', () => {
  const source = read('src/measure/appraise')
    .filter(({ name }) => name !== 'reasons.ts')
    .map(({ text }) => text)
    .join('');
  for (const [code, remedy] of Object.entries(reasonTable)) {
    assert.match(remedy, /^[A-Z].*\.$/, code);
    assert.equal(remedyOf(code), remedy);
    assert.ok(source.includes(`'${code}'`), `${code} is used nowhere`);
  }
});

test('every reason is asserted by a test', () => {
  const tests = read('test/measure/appraise')
    .filter(({ name }) => name !== 'reasons.test.ts')
    .map(({ text }) => text)
    .join('');
  const missing = Object.keys(reasonTable).filter((code) => !tests.includes(`'${code}'`));
  assert.deepEqual(missing, []);
});

test('no code that was ever published is renamed or taken away, and a new one is written down', () => {
  const published = readFileSync(join(repoRoot(), 'test/data/reason-codes.txt'), 'utf8').trim().split('\n');
  assert.deepEqual(Object.keys(reasonTable).sort(), published);
});

test('a code that is not of the table has no remedy', () => {
  assert.equal(remedyOf('no_such_reason'), '');
  assert.equal(remedyOf('constructor'), '');
});
