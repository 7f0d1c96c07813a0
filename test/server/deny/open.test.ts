import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Logger, silentLogger } from '../../../src/log.js';
import { crlsOf, type Deny } from '../../../src/server/deny/open.js';
import { denyWorld, nodeOf } from '../../fakes/deny-world.js';

describe('the CRLs that sessions send', () => {
  test('of a great incident are signed every five seconds, and all of them are sent to agents', async () => {
    const world = denyWorld();
    const run = await world.start();
    await world.enrol('a');
    await world.enrol('b');
    const authority = run.authority.x509.signer().id;
    const want = { authority, expiresAt: world.clock.now() / 1000 + 3600 };
    for (let i = 0; i < 11_000; i += 1) {
      await run.serials.reserve(nodeOf('a'), want, 1000);
      run.serials.draw(nodeOf('a'), want);
    }
    await run.x509(nodeOf('b'));
    await world.setState('a', 'drifted');
    await world.clock.pass(1000);
    assert.equal(run.feed().serials.length, 11_000);
    const sent = crlsOf(run, silentLogger());
    assert.ok((sent.current()[0]?.length ?? 0) > 512 * 1024);
    assert.equal(sent.current(), sent.current(), 'the same objects until they change');
    await world.setState('b', 'drifted');
    await world.clock.pass(4000);
    assert.equal(run.feed().serials.length, 11_000);
    await world.clock.pass(1100);
    assert.equal(run.feed().serials.length, 11_001);
    await run.stop();
  });

  test('that are too large to be sent lose the largest, and it is told once', () => {
    const lines: string[] = [];
    const log = { ...silentLogger(), error: (message: string) => void lines.push(message) };
    const der = (bytes: number) => new Uint8Array(bytes);
    const crls = [
      { authorityId: 'aa', der: der(100) },
      { authorityId: 'bb', der: der(3 * 1024 * 1024) },
    ];
    const publication = { sequence: 1, feed: '', crls };
    const publisher = { current: () => publication, onChange: () => () => {} };
    const sent = crlsOf({ publisher } as unknown as Deny, log as Logger);
    for (let i = 0; i < 3; i += 1) assert.deepEqual(sent.current(), [crls[0]?.der]);
    assert.deepEqual(lines, [
      'the CRLs are too large to be sent to agents: these are to be had over HTTPS only',
    ]);
  });
});
