import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { boundBundles, bundleSize } from '../../../src/server/sessions/bundles.js';
import { sessionLimits } from '../../../src/server/sessions/contract.js';
import type { Bundle } from '../../../src/spiffe/bundle.js';
import { makeSpiffeId, parseTrustDomain } from '../../../src/spiffe/id.js';
import { bundleToWire } from '../../../src/wire/bundle.js';
import { BundleSchema } from '../../../src/wire/gen/spire/types_pb.js';
import { BundlesSchema } from '../../../src/wire/gen/touchmark/session/v1/session_pb.js';
import { domain } from '../../fakes/attest-world.js';
import { settle } from '../../fakes/manual-clock.js';
import { bundleOf, sessionWorld, tpmNode } from '../../fakes/session-world.js';
import { entryOf } from '../../support/entries.js';

function sized(name: string, bytes: number): Bundle {
  return { ...bundleOf(name, 1n), x509Authorities: [{ der: new Uint8Array(bytes), tainted: false }] };
}

describe('the bundles of a node', () => {
  it('are never larger on the wire than they are reckoned', () => {
    const authority = fc.record({ der: fc.uint8Array({ maxLength: 400 }), tainted: fc.boolean() });
    const key = fc.record({
      keyId: fc.string({ unit: 'grapheme', maxLength: 40 }),
      spki: fc.uint8Array({ maxLength: 200 }),
      expiresAt: fc.nat(),
      tainted: fc.boolean(),
    });
    fc.assert(
      fc.property(
        fc.array(authority),
        fc.array(key),
        fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }),
        (x, j, sequence) => {
          const bundle = { ...bundleOf('a.org', sequence), x509Authorities: x, jwtAuthorities: j };
          assert.ok(toBinary(BundleSchema, bundleToWire(bundle)).length + 8 <= bundleSize(bundle));
        },
      ),
      { numRuns: 200, seed: 5 },
    );
  });

  it('fit, in order, and those that do not are named', () => {
    const [own, a, big, c] = [
      sized('o.org', 100),
      sized('a.org', 300),
      sized('b.org', 2000),
      sized('c.org', 300),
    ];
    const all = boundBundles(own, [a, big, c], 10_000);
    assert.deepEqual([all.federated, all.leftOut], [[a, big, c], []]);
    const some = boundBundles(own, [a, big, c], 1500);
    assert.deepEqual([some.own, some.federated, some.leftOut], [own, [a, c], ['b.org']]);
    assert.deepEqual(boundBundles(big, [a], 1500).leftOut, ['a.org']);
  });

  it('leave a session alive when they are too large together, and the log says whose are left out', async () => {
    await using world = await sessionWorld();
    const names = ['a.example', 'b.example', 'c.example', 'd.example'];
    for (const name of names) world.setBundle(sized(name, 1024 * 1024));
    const federatesWith = names.map((name) => parseTrustDomain(name));
    const entry = entryOf('f', ['unix:uid:0'], {
      ...{ parentId: tpmNode, spiffeId: makeSpiffeId(domain, '/f') },
      federatesWith,
    });
    await world.put(entry);
    const session = world.open();
    await settle();
    assert.deepEqual(
      session.received.map(({ message }) => message.case),
      ['verdict', 'bundles', 'entries'],
    );
    const [bundles] = session.take('bundles');
    assert.ok(bundles);
    assert.deepEqual(
      bundles.federated.map(({ trustDomain }) => trustDomain),
      names.slice(0, 2),
    );
    assert.ok(toBinary(BundlesSchema, bundles).length < sessionLimits.bundlesBytes);
    const [line, ...more] = world.lines.map((text) => JSON.parse(text));
    assert.deepEqual(
      [line.level, line.agent_id, line.trust_domains, line.count, more.length],
      ['error', tpmNode, names.slice(2), 2, 0],
    );
    await session.abort();
  });
});
