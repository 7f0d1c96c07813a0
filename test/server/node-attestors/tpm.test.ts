import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { tpmNodeId } from '../../../src/server/hosts/selectors.js';
import { formatSelector } from '../../../src/spiffe/selector.js';
import { domain, keyOf, serverLeaf } from '../../fakes/attest-world.js';
import { chipAgent } from '../../fakes/chip-agent.js';
import { attestChip, chipWorld, genuine, hashOf, onlyKey } from '../../fakes/chip-world.js';
import type { SoftwareTpm } from '../../fakes/software-tpm.js';
import { rejectsCode } from '../../support/rejects-async.js';

describe('the tpm attestor', () => {
  it('names the node by its endorsement key and certifies the key of the one request', async () => {
    await using server = await chipWorld();
    const chip = genuine();
    const agent = await chipAgent(chip, { serverLeaf });
    const result = await server.attest(agent);
    assert.equal(result.id, tpmNodeId(domain, hashOf(chip)));
    assert.equal(result.reattestable, true);
    assert.deepEqual(server.certified.map(Buffer.from), [Buffer.from(keyOf(agent))]);
  });

  it('records what was verified: keys, certificate, quote, origin', async () => {
    await using server = await chipWorld();
    const chip = genuine({ firmwareVersion: 0x0007_0002_0000_0001n, clock: { resetCount: 5 } });
    await attestChip(server, chip);
    const host = server.registry.host(hashOf(chip));
    assert.equal(host?.state, 'unmeasured');
    assert.equal(host?.enrolledBy, 'rule any-genuine');
    assert.equal(host?.attestationNumber, 1);
    assert.match(host?.akName ?? '', /^000b[0-9a-f]{64}$/);
    const [ek] = host?.eks ?? [];
    assert.deepEqual(
      [ek?.algorithm, ek?.manufacturer, ek?.model, ek?.firmware, ek?.anchor, ek?.issuer],
      ['p256', 'TEST', 'soft', '00010002', 'test vendor', 'CN=Test TPM Root'],
    );
    const { resetCount, firmwareVersion, bank, pcrs } = host?.lastQuote ?? {};
    assert.deepEqual([resetCount, firmwareVersion, bank], [5, '0007000200000001', 'sha256']);
    assert.deepEqual(Object.keys(pcrs ?? {}), ['0', '1', '2', '3', '4', '5', '6', '7']);
    assert.deepEqual(
      server.events.map(({ name }) => name),
      ['node_attested', 'host_enrolled'],
    );
  });

  it('takes selectors from certificate and quote alone', async () => {
    await using server = await chipWorld();
    const chip = genuine();
    await attestChip(server, chip, {
      hello: (hello) => ({ ...hello, agentVersion: 'evil', features: ['host:label:a:b'] }),
    });
    const node = server.registry.node(tpmNodeId(domain, hashOf(chip)));
    assert.deepEqual(node?.selectors.map(formatSelector), [
      `tpm:ek_hash:${hashOf(chip)}`,
      'tpm:firmware:0000000000010002',
      'tpm:manufacturer:TEST',
      'tpm:model:soft',
    ]);
  });

  it('counts attestations, keeps the host and changes nothing else when a host comes again', async () => {
    await using server = await chipWorld();
    const chip = genuine();
    await attestChip(server, chip);
    const first = server.registry.host(hashOf(chip));
    server.clock.advance(1000);
    await attestChip(server, chip);
    const second = server.registry.host(hashOf(chip));
    assert.deepEqual([second?.attestationNumber, second?.state], [2, 'unmeasured']);
    assert.equal(second?.enrolledAt, first?.enrolledAt);
    assert.equal(server.registry.node(tpmNodeId(domain, hashOf(chip)))?.attestationNumber, 2);
  });

  it('activates and joins every certified key of a chip to one host', async () => {
    await using server = await chipWorld();
    const chip = genuine({ templates: ['p256-l2', 'rsa2048-l1'] });
    const result = await attestChip(server, chip);
    const other = hashOf(chip, 'rsa2048-l1');
    assert.equal(result.id, tpmNodeId(domain, hashOf(chip)));
    assert.equal(server.registry.hostByEk(other)?.id, hashOf(chip));
    assert.equal((await server.store.get('host_ek', other))?.value.hostId, hashOf(chip));
  });

  it('knows a chip by any of its keys', async () => {
    await using server = await chipWorld();
    const chip = genuine({ templates: ['p256-l2', 'rsa2048-l1'] });
    const first = await attestChip(server, chip);
    const again = await attestChip(server, chip, { hello: onlyKey(1) });
    assert.equal(again.id, first.id);
  });

  it('accepts a reboot, a resume and a clock that lost what the chip had not saved', async () => {
    await using server = await chipWorld();
    const chip = genuine({ clock: { clock: 10_000_000n } });
    await attestChip(server, chip);
    chip.reboot();
    Object.assign(chip.clock, { clock: 9_000_000n, safe: false });
    await attestChip(server, chip);
    chip.clock.restartCount += 1;
    await attestChip(server, chip);
    assert.equal(server.registry.host(hashOf(chip))?.state, 'unmeasured');
  });

  for (const [what, disturb, sentence] of [
    ['was cleared', (chip: SoftwareTpm) => chip.clear(), /^resetCount fell from 1 to 0$/],
    [
      'shows an older clock within one boot',
      (chip: SoftwareTpm) => Object.assign(chip.clock, { clock: chip.clock.clock - 500n }),
      /^the clock fell/,
    ],
    [
      'shows an older restartCount',
      (chip: SoftwareTpm) => Object.assign(chip.clock, { restartCount: 2 }),
      /^restartCount fell/,
    ],
  ] as const) {
    it(`holds a host suspect whose chip ${what}, and says so`, async () => {
      await using server = await chipWorld();
      const chip = genuine({ clock: { clock: 1_000_000n, restartCount: 3 } });
      await attestChip(server, chip);
      disturb(chip);
      await attestChip(server, chip);
      const host = server.registry.host(hashOf(chip));
      assert.equal(host?.state, 'suspect');
      assert.equal(host?.graceEndsAt, server.clock.now() + 3_600_000);
      assert.equal(host?.reasons[0]?.code, 'cloned-or-cleared');
      assert.match(host?.reasons[0]?.message ?? '', sentence);
      assert.deepEqual(server.events.at(-1)?.name, 'host_suspect');
      server.clock.advance(3_600_000);
      await rejectsCode('host_suspect', /grace has ended/, attestChip(server, chip));
    });
  }

  it('takes another generation of the attestation key', async () => {
    await using server = await chipWorld();
    const chip = genuine();
    await attestChip(server, chip);
    const before = server.registry.host(hashOf(chip))?.akName;
    await attestChip(server, chip, { generation: 1 });
    assert.notEqual(server.registry.host(hashOf(chip))?.akName, before);
  });
});
