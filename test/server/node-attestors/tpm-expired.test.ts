import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TpmAttestationConfig } from '../../../src/config/server-config.js';
import { attestChip, chipWorld, genuine, hashOf } from '../../fakes/chip-world.js';
import { rejectsCode } from '../../support/rejects-async.js';

const DAY = 24 * 3600 * 1000;

/** A server in a time when the vendor's certificates have run out. */
async function lateWorld(config: Partial<TpmAttestationConfig>) {
  const world = await chipWorld(config);
  world.clock.advance(21 * 365 * DAY);
  return world;
}

describe('a certificate that has run out', () => {
  it('is recorded and logged where the operator wants to be warned', async () => {
    await using world = await lateWorld({ expiredCertificates: 'warn' });
    const chip = genuine();
    await attestChip(world, chip);
    const [ek] = world.registry.host(hashOf(chip))?.eks ?? [];
    assert.notEqual(ek?.anchor, '');
    const [deviation] = ek?.deviations.filter(({ code }) => code === 'expired') ?? [];
    assert.match(deviation?.message ?? '', /^certificate [0-9a-f]+ ended on 2046-/);
    const [line, ...more] = world.lines.map((text) => JSON.parse(text));
    assert.deepEqual(more, []);
    assert.equal(line.level, 'warn');
    assert.deepEqual([line.host_id, line.ek_hash], [hashOf(chip), hashOf(chip)]);
    assert.match(JSON.stringify(line.reasons), /ended on 2046-/);
  });

  it('is nothing where the operator accepts it', async () => {
    await using world = await lateWorld({ expiredCertificates: 'accept' });
    const chip = genuine();
    await attestChip(world, chip);
    const [ek] = world.registry.host(hashOf(chip))?.eks ?? [];
    assert.notEqual(ek?.anchor, '');
    assert.ok(!ek?.deviations.some(({ code }) => code === 'expired'));
    assert.deepEqual(world.lines, []);
  });

  it('keeps a chip out where the operator rejects it, one on the allow-list too', async () => {
    await using world = await lateWorld({ expiredCertificates: 'reject' });
    const chip = genuine();
    const refused = () =>
      rejectsCode('ek_certificate_validity', /^certificate .* ended on 2046-/, attestChip(world, chip));
    await refused();
    await world.hosts.allow({ ekHash: hashOf(chip), name: '', labels: {} }, 'uid 0');
    await refused();
    assert.equal(world.registry.nodeCount, 0);
  });

  it('keeps out a host that enrolled while it was in its dates, where the operator rejects it', async () => {
    await using world = await chipWorld({ expiredCertificates: 'reject' });
    const chip = genuine();
    await attestChip(world, chip);
    world.clock.advance(21 * 365 * DAY);
    await rejectsCode('ek_certificate_validity', /ended on 2046-/, attestChip(world, chip));
    assert.deepEqual(world.lines, []);
  });
});
