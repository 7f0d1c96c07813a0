import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ByteQueue } from '../../../src/measure/ima/byte-queue.js';

test('what comes in pieces of any size comes out whole and in order', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 20 }),
      fc.array(fc.nat(30)),
      (pieces, takes) => {
        const queue = new ByteQueue();
        const all = Buffer.concat(pieces);
        for (const piece of pieces) queue.push(piece);
        let at = 0;
        for (const size of takes) {
          const buffer = queue.peek(size);
          if (size > all.length - at) {
            assert.equal(buffer, undefined);
            continue;
          }
          assert.ok(buffer);
          const { offset } = queue;
          assert.deepEqual(Buffer.from(buffer.subarray(offset, offset + size)), all.subarray(at, at + size));
          queue.skip(size);
          at += size;
          assert.equal(queue.length, all.length - at);
        }
      },
    ),
  );
});

test('what is not there yet is asked for again when more has come', () => {
  const queue = new ByteQueue();
  queue.push(Buffer.from('ab'));
  assert.equal(queue.peek(3), undefined);
  queue.push(Buffer.from('c'));
  const buffer = queue.peek(3) ?? assert.fail('nothing came');
  assert.equal(buffer.toString('latin1', queue.offset, queue.offset + 3), 'abc');
});
