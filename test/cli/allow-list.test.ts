import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readAllowList } from '../../src/cli/server/allow-list.js';

const hash = 'ab'.repeat(32);

test('a line is a hash, a name and labels, in any case and with remarks', () => {
  const text = `# all of r7\r\n  ${hash.toUpperCase()}\tweb-1  rack=r7 url=a=b # first\n\n${hash}\n`;
  assert.deepEqual(readAllowList('l', text), [
    { ekHash: hash, name: 'web-1', labels: { rack: 'r7', url: 'a=b' } },
    { ekHash: hash, name: '', labels: {} },
  ]);
});

test('every bad line is told, and no line is taken then', () => {
  assert.throws(() => readAllowList('l', `zz\n${hash} two names\n${hash} =x\n${hash} ok\n`), {
    code: 'data_invalid',
    message:
      'l:1:1: "zz" is not the hex SHA-256 of a key\nl:2:1: more than one name: two names\nl:3:1: "=x" is not key=value',
  });
});
