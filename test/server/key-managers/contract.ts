/** What every key manager must do, run against each of them. */
import assert from 'node:assert/strict';
import { createPublicKey, sign, verify } from 'node:crypto';
import { describe, test } from 'node:test';
import { type KeyManager, keyTypes } from '../../../src/server/key-managers/contract.js';
import { keyTypeOf } from '../../../src/x509/keys.js';

export function testKeyManager(name: string, open: () => Promise<KeyManager>): void {
  describe(`key manager ${name}`, () => {
    test('a key that was made is held and signs', async () => {
      await using manager = await open();
      const made = await manager.generate('x509-1', 'ec-p256');
      const held = await manager.get('x509-1');
      assert.ok(held);
      const signature = sign('sha256', Buffer.from('data'), held);
      assert.ok(verify('sha256', Buffer.from('data'), createPublicKey(made), signature));
    });

    test('every key type can be made', async () => {
      await using manager = await open();
      for (const type of keyTypes) assert.equal(keyTypeOf(await manager.generate(type, type)), type);
    });

    test('a name that is not held has no key', async () => {
      await using manager = await open();
      assert.equal(await manager.get('nothing'), undefined);
      assert.equal(await manager.get('__proto__'), undefined);
    });

    test('a key of the same name replaces the first', async () => {
      await using manager = await open();
      const first = await manager.generate('k', 'ec-p256');
      const second = await manager.generate('k', 'ec-p256');
      assert.equal((await manager.get('k'))?.equals(second), true);
      assert.equal((await manager.get('k'))?.equals(first), false);
    });

    test('a removed key is gone, and removing one that is not held is no error', async () => {
      await using manager = await open();
      await manager.generate('k', 'ec-p256');
      await manager.remove('k');
      await manager.remove('k');
      assert.equal(await manager.get('k'), undefined);
    });

    test('changes at the same time all happen', async () => {
      await using manager = await open();
      const names = Array.from({ length: 8 }, (_, i) => `k${i}`);
      await Promise.all(names.map((key) => manager.generate(key, 'ec-p256')));
      for (const key of names) assert.ok(await manager.get(key));
    });
  });
}
