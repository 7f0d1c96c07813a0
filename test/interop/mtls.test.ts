import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { type DevDomain, startDev } from '../support/dev.js';
import { ask, asRoot, available, type ForeignClient, goSpiffe, start } from './support.js';

const nodeWorkload: ForeignClient = {
  name: 'node:tls',
  command: [process.execPath, join(import.meta.dirname, 'node-workload.js')],
  missing: undefined,
};

/** Users that need no name: a workload is known by its number. */
const alice = 20_001;
const bob = 20_002;
const mallory = 20_003;
const idOf = (name: string) => `spiffe://dev.test/${name}`;

async function threeUsers(t: TestContext): Promise<DevDomain | undefined> {
  if (!available(t, goSpiffe)) return undefined;
  if (!asRoot) {
    if (process.env['CI'] === 'true') throw new Error('CI runs as root');
    t.skip('needs root to start workloads of several users');
    return undefined;
  }
  const dev = await startDev(t, '--no-tpm');
  for (const [name, uid] of Object.entries({ alice, bob, mallory }))
    await dev.register(`/${name}`, `unix:uid:${uid}`);
  return dev;
}

const pairs: readonly [server: ForeignClient, client: ForeignClient][] = [
  [goSpiffe, nodeWorkload],
  [nodeWorkload, goSpiffe],
  [goSpiffe, goSpiffe],
];

describe('DF-12 mutual TLS between workloads of different users, by SPIFFE ID and without names of hosts', () => {
  for (const [server, client] of pairs) {
    test(`${client.name} calls ${server.name}: the one that is allowed is answered, a third is refused`, async (t) => {
      const dev = await threeUsers(t);
      if (dev === undefined) return;
      const args = server === goSpiffe ? ['serve', '127.0.0.1:0', idOf('bob')] : ['serve', idOf('bob')];
      const running = start(t, dev, server, args, alice);
      const { listening } = await running.wait('it listens', (line) => 'listening' in line);
      const address = String(listening);

      const good = await ask(dev, client, ['call', address, idOf('alice')], bob);
      assert.deepEqual([good.code, good.answer['answer']], [0, `hello ${idOf('bob')}`]);

      // The server knows mallory's SVID as genuine, and as not bob's.
      const third = await ask(dev, client, ['call', address, idOf('alice')], mallory).catch(
        (error: Error) => error,
      );
      if (!(third instanceof Error)) assert.equal(third.code, 1, JSON.stringify(third.answer));
      await running.wait('a third was refused', (line) => 'refused' in line);

      // And a client that means somebody else does not talk to this server.
      const wrong = await ask(dev, client, ['call', address, idOf('mallory')], bob);
      assert.equal(wrong.code, 1);
      assert.match(String(wrong.answer['error']), /alice/);
    });
  }

  test('a user without an entry has nothing to show', async (t) => {
    const dev = await threeUsers(t);
    if (dev === undefined) return;
    const { code, answer } = await ask(dev, goSpiffe, ['x509'], 20_009);
    assert.equal(code, 1);
    assert.match(String(answer['error']), /no identity issued/);
  });
});
