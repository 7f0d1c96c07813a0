import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import {
  curveById,
  curveByName,
  digest,
  hashById,
  hashByName,
  isHashName,
} from '../../src/tpm/algorithms.js';
import { throwsCode } from '../support/rejects.js';

test('a digest is that of its parts one after another, however long they are', () => {
  for (const sizes of [[], [0], [1], [32, 32], [4095, 1], [4096, 1], [5000, 5000, 1]]) {
    const parts = sizes.map((size) => randomBytes(size));
    for (const name of ['sha1', 'sha256', 'sha384', 'sha512'] as const) {
      const wanted = createHash(name);
      for (const part of parts) wanted.update(part);
      assert.equal(Buffer.from(digest(name, ...parts)).toString('hex'), wanted.digest('hex'), sizes.join());
    }
  }
});

test('a digest stays what it is when others are made after it', () => {
  const first = digest('sha256', Buffer.from('a'), Buffer.from('b'));
  const then = Buffer.from(first);
  digest('sha256', Buffer.from('c'), Buffer.from('d'));
  assert.ok(then.equals(first));
});

test('hashes and curves are found by number and by name, and others are refused by both', () => {
  assert.equal(hashById(0x000b).name, 'sha256');
  assert.equal(hashByName('sha384').size, 48);
  assert.equal(curveById(3).openssl, 'prime256v1');
  assert.equal(curveByName('P-521').size, 66);
  assert.deepEqual([isHashName('sha1'), isHashName('sm3')], [true, false]);
  const unsupported = 'tpm_algorithm_unsupported';
  throwsCode(unsupported, /^hash algorithm 0x0012 is not supported$/, () => hashById(0x12));
  throwsCode(unsupported, /^hash algorithm "sm3" is not supported$/, () => hashByName('sm3'));
  throwsCode(unsupported, /^curve 0x0020 is not supported$/, () => curveById(0x20));
  throwsCode(unsupported, /^curve "P-224" is not supported$/, () => curveByName('P-224' as never));
});
