import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type DevDomain, startDev } from '../support/dev.js';
import { type Answer, ask, available, goSpiffe, idsIn, pySpiffe, serialIn, start } from './support.js';

const mine = `unix:uid:${process.getuid?.() ?? 0}`;

for (const client of [goSpiffe, pySpiffe]) {
  describe(`${client.name} against the Workload API`, () => {
    let dev: DevDomain;
    const cleanups: (() => unknown)[] = [];
    before(async () => {
      if (client.missing !== undefined) return;
      dev = await startDev({ after: (fn: () => unknown) => cleanups.push(fn) } as never, '--no-tpm');
    });
    after(async () => {
      for (const cleanup of cleanups) await cleanup();
    });

    test('is refused without an entry', async (t) => {
      if (!available(t, client)) return;
      const { code, answer } = await ask(
        dev,
        client,
        ['jwtbundles', 'bundles'].slice(client === goSpiffe ? 0 : 1),
      );
      assert.equal(code, 1);
      assert.match(String(answer['error']), /no identity issued/);
    });

    test('gets its X.509-SVIDs in order, with the bundle', async (t) => {
      if (!available(t, client)) return;
      const entries = [await dev.register('/a', mine), await dev.register('/b', mine, ['-dns', 'b.test'])];
      const { code, answer } = await ask(dev, client, ['x509']);
      assert.equal(code, 0, JSON.stringify(answer));
      const expected = entries
        .map((id, at) => [id, at] as const)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([, at]) => `spiffe://dev.test/${'ab'[at]}`);
      assert.deepEqual(idsIn(answer), expected);
      assert.deepEqual(answer['bundles'], { 'dev.test': 1 });
      for (const id of entries) await remove(dev, id);
    });

    test('gets a JWT-SVID, verifies it with the bundles, and has it validated', async (t) => {
      if (!available(t, client)) return;
      const id = await dev.register('/jwt', mine);
      const { code, answer } = await ask(dev, client, ['jwt', 'vault']);
      assert.equal(code, 0, JSON.stringify(answer));
      assert.deepEqual([answer['id'], answer['audience']], ['spiffe://dev.test/jwt', ['vault']]);
      const token = String(answer['token']);
      const good = await ask(dev, client, ['validate', 'vault', token]);
      assert.deepEqual([good.code, good.answer['id']], [0, 'spiffe://dev.test/jwt']);
      const bad = await ask(dev, client, ['validate', 'elsewhere', token]);
      assert.equal(bad.code, 1);
      assert.match(String(bad.answer['error']), /audience|aud|InvalidArgument/i);
      const bundles = await ask(dev, client, [client === goSpiffe ? 'jwtbundles' : 'bundles']);
      assert.equal(bundles.code, 0);
      assert.deepEqual(Object.keys(bundles.answer), ['dev.test']);
      await remove(dev, id);
    });

    test('sees a rotation, a deletion and a re-creation without being started again', async (t) => {
      if (!available(t, client)) return;
      const first = await dev.register('/watched', mine, ['-x509SVIDTTL', '6']);
      const watch = start(t, dev, client, client === goSpiffe ? ['watch'] : ['watch', '60']);
      const one = await watch.wait('it has an identity', (line) => idsIn(line).length === 1);
      const rotated = await watch.wait(
        'it was rotated',
        (line) => idsIn(line).length === 1 && serialIn(line) !== serialIn(one),
      );
      assert.deepEqual(idsIn(rotated), ['spiffe://dev.test/watched']);
      const before = watch.lines.length;
      await remove(dev, first);
      // py-spiffe tries again by itself and says nothing meanwhile.
      if (client === goSpiffe) {
        const refused = await watch.wait('it was taken away', (line) => 'watchError' in line, before);
        assert.match(String(refused['watchError']), /no identity issued/);
      }
      const gone = watch.lines.length;
      await dev.register('/again', mine);
      const back = (line: Answer) => idsIn(line)[0] === 'spiffe://dev.test/again';
      const again = await watch.wait('it is back', back, gone, 40_000);
      assert.deepEqual(idsIn(again), ['spiffe://dev.test/again']);
      await watch.stop();
    });
  });
}

test('py-spiffe’s X509Source holds the default identity', async (t) => {
  if (!available(t, pySpiffe)) return;
  const dev = await startDev(t, '--no-tpm');
  await dev.register('/source', mine);
  const { code, answer } = await ask(dev, pySpiffe, ['source']);
  assert.deepEqual([code, answer['id']], [0, 'spiffe://dev.test/source']);
});

async function remove(dev: DevDomain, id: string): Promise<void> {
  const { code, stderr } = await dev.run('touchmark-server', ['entry', 'delete', '-entryID', id]);
  assert.equal(code, 0, stderr);
}
