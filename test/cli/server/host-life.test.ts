import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { program } from '../../../src/cli/server/program.js';
import { parseSpiffeId } from '../../../src/spiffe/id.js';
import { genuine, hashOf } from '../../fakes/chip-world.js';
import type { SoftwareTpm } from '../../fakes/software-tpm.js';
import type { TestServer } from '../../fakes/test-server.js';
import { attestOverWire, chipServer, closeChannels, rejectsRpc } from '../../hostile/wire-attester.js';
import { typist } from '../type.js';

let server: TestServer;
let at: ReturnType<typeof typist>;

before(async () => {
  server = await chipServer({ enrol: 'approval', approval: { perAddress: 10, total: 10, ttl: 600 } });
  at = typist(program, { TOUCHMARK_SERVER_SOCKET: server.socketPath });
});
after(async () => {
  closeChannels();
  await server.stop();
});

/** Attests a chip that nobody knows yet. @returns the code under which it waits */
async function knock(chip: SoftwareTpm): Promise<string> {
  await rejectsRpc('enrolment_pending', /waits for an operator/, attestOverWire(server, chip));
  return (await at.json(`host show ${hashOf(chip)}`)).pending.code;
}

/** A chip that an operator approved, attested. */
async function enrolled(name: string): Promise<{ chip: SoftwareTpm; nodeId: string }> {
  const chip = genuine();
  await at.good(`host approve ${await knock(chip)} -name ${name} -label site=north`);
  return { chip, nodeId: (await attestOverWire(server, chip)).id };
}

test('a host that waits is approved by its code, and comes in under its name', async () => {
  const chip = genuine();
  const code = await knock(chip);
  assert.match(await at.good('host list -state pending'), new RegExp(`approve with ${code}`));
  assert.match(await at.good(`host show ${hashOf(chip)}`), new RegExp(`Waits for +: host approve ${code}`));
  const { code: exit, stdout, stderr } = await at.plain(`host approve ${code} -name web-1 -label rack=r7`);
  assert.equal(exit, 0, stderr);
  assert.match(stderr, new RegExp(`approved the chip with endorsement key ${hashOf(chip)}`));
  assert.match(stdout, /Name +: web-1/);
  await attestOverWire(server, chip);
  const shown = await at.json('host show web-1');
  assert.deepEqual([shown.id, shown.labels], [hashOf(chip), { rack: 'r7' }]);
  assert.match(shown.enrolled_by, /^approval by uid \d+$/);
  assert.equal(shown.attestation.attestation_count, '1');
  await at.fails(`host approve ${code}`, 1, /no host waits under/);
});

test('a host that waits is approved by its full hash', async () => {
  const chip = genuine();
  await knock(chip);
  await at.good(`host approve ${hashOf(chip)}`);
  await attestOverWire(server, chip);
});

test('a host that was denied is turned away for as long as it would have waited', async () => {
  const chip = genuine();
  const code = await knock(chip);
  assert.equal(await at.good(`host deny ${code}`), 'Denied\n');
  await rejectsRpc('enrolment_denied', /an operator denied the host/, attestOverWire(server, chip));
  await at.fails('host deny web-1', 1, /is enrolled and cannot be denied/);
});

test('a successor that waits takes over name, labels and entries', async () => {
  const { chip: old, nodeId } = await enrolled('web-2');
  const entry = `entry create -parentID ${nodeId} -spiffeID spiffe://example.org/w -selector unix:uid:1 -entryID kept`;
  await at.good(entry);
  const fresh = genuine();
  await knock(fresh);
  const successor = await at.json(`host replace web-2 ${hashOf(fresh)}`);
  assert.deepEqual(
    [successor.id, successor.name, successor.labels],
    [hashOf(fresh), 'web-2', { site: 'north' }],
  );
  const { id } = await attestOverWire(server, fresh);
  assert.equal(server.context.registry.entry('kept')?.parentId, id);
  assert.equal(server.context.registry.node(parseSpiffeId(nodeId)), undefined);
  assert.match(
    await at.good(`host show ${hashOf(old)}`),
    /State +: retired\nReason +: replaced: uid \d+ put /,
  );
  await rejectsRpc('host_retired', /is retired/, attestOverWire(server, old));
});

test('a quarantine takes hold with its reason, and a release ends it', async () => {
  const { chip } = await enrolled('web-3');
  const quarantined = await at.good('host quarantine web-3 -reason pulled');
  assert.match(quarantined, /State +: quarantined\nReason +: quarantined: uid \d+ set it aside: pulled\n/);
  await rejectsRpc('host_quarantined', /is in quarantine/, attestOverWire(server, chip));
  assert.deepEqual(
    (await at.json('host list -state quarantined')).hosts.map((host: { name: string }) => host.name),
    ['web-3'],
  );
  const released = await at.json('host release web-3');
  assert.deepEqual([released.state, released.reasons], ['HOST_STATE_STALE', []]);
  await attestOverWire(server, chip);
});

test('a host that is retired is out for good: its node goes, and its chip is not let in again', async () => {
  const { chip, nodeId } = await enrolled('web-4');
  const retired = await at.good('host retire web-4 -reason sold');
  assert.match(retired, /State +: retired\nReason +: retired: uid \d+ retired it: sold\n/);
  assert.equal(server.context.registry.node(parseSpiffeId(nodeId)), undefined);
  await rejectsRpc('host_retired', /is retired: uid \d+ retired it: sold$/, attestOverWire(server, chip));
  await at.fails('host release web-4', 1, /is retired and cannot be released/);
  await at.fails('host retire nobody', 1, /no host is called "nobody"/);
  assert.match(await at.good(`host retire ${hashOf(chip)}`), /retired: uid \d+ retired it\n/);
});
