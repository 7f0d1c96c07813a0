import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AttestWorld } from '../../fakes/attest-world.js';
import { attestChip, chipWorld, genuine, hashOf } from '../../fakes/chip-world.js';
import { rejectsCode } from '../../support/rejects-async.js';

const hash = (letter: string) => letter.repeat(64);
const allow = (world: AttestWorld, letter: string, name: string) =>
  world.hosts.allow({ ekHash: hash(letter), name, labels: {} }, 'uid 0');
const rename = (world: AttestWorld, id: string, name: string) =>
  world.hosts.set(id, { name, labels: {}, removeLabels: [] }, 'uid 0');
const taken = async (task: Promise<unknown>, holder: RegExp) => {
  await rejectsCode('host_name_taken', new RegExp(`^the name "n" belongs to host ${holder.source}$`), task);
};
const names = async (world: AttestWorld) =>
  (await world.hosts.list()).map((found) =>
    found.kind === 'host' ? found.host.name : found.kind === 'allowed' ? found.allowed.name : '',
  );

/** Runs changes at once: one has its way, the others are told whose the name is. */
async function race(world: AttestWorld, tasks: readonly (() => Promise<unknown>)[]): Promise<void> {
  const outcomes = await Promise.allSettled(tasks.map((task) => task()));
  const lost = outcomes.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
  assert.equal(lost.length, tasks.length - 1);
  for (const error of lost) {
    assert.equal(error.code, 'host_name_taken');
    assert.match(error.message, /^the name "n" belongs to host [0-9a-f]{64}$/);
  }
  assert.equal((await names(world)).filter((name) => name === 'n').length, 1);
}

describe('the name of a host', () => {
  it('goes to one of several allowances that ask for it at once', async () => {
    await using world = await chipWorld({ enrol: 'allow-list' });
    await race(
      world,
      ['a', 'b', 'c', 'd'].map((letter) => () => allow(world, letter, 'n')),
    );
  });

  it('goes to one of several hosts and allowances that are renamed at once', async () => {
    await using world = await chipWorld();
    const chips = [genuine(), genuine()];
    for (const chip of chips) await attestChip(world, chip);
    await allow(world, 'a', 'x');
    const ids = [...chips.map((chip) => hashOf(chip)), hash('a')];
    await race(world, [...ids.map((id) => () => rename(world, id, 'n')), () => allow(world, 'b', 'n')]);
  });

  it('stays taken when its own host says it again, beside other changes', async () => {
    await using world = await chipWorld();
    await allow(world, 'a', 'n');
    await Promise.all([allow(world, 'a', 'n'), rename(world, hash('a'), 'n')]);
    await taken(allow(world, 'b', 'n'), /a{64}/);
  });

  it('is free again once its host is renamed, denied or forgotten', async () => {
    await using world = await chipWorld();
    const chip = genuine();
    await attestChip(world, chip);
    await rename(world, hashOf(chip), 'n');
    await taken(allow(world, 'a', 'n'), /[0-9a-f]{64}/);
    await rename(world, hashOf(chip), 'm');
    await allow(world, 'a', 'n');
    await world.hosts.deny('n', 'uid 0');
    await allow(world, 'b', 'n');
    await world.hosts.forget('n', 'uid 0');
    await rename(world, hashOf(chip), 'n');
    await world.hosts.forget('n', 'uid 0');
    await allow(world, 'c', 'n');
    assert.deepEqual(await names(world), ['n']);
    assert.equal((await world.store.list('meta')).length, 1);
  });

  it('stays with a chip that enrols, and is free when another name of the chip was used up', async () => {
    await using world = await chipWorld({ enrol: 'allow-list' });
    const chip = genuine({ templates: ['p256-l2', 'rsa2048-l1'] });
    const allowKey = (ekHash: string, name: string) =>
      world.hosts.allow({ ekHash, name, labels: {} }, 'uid 0');
    await allowKey(hashOf(chip), 'n');
    await allowKey(hashOf(chip, 'rsa2048-l1'), 'second');
    await attestChip(world, chip);
    await taken(allow(world, 'a', 'n'), new RegExp(hashOf(chip)));
    await allow(world, 'a', 'second');
    assert.deepEqual((await names(world)).sort(), ['n', 'second']);
  });

  it('goes over to a successor with everything else, and its own is free', async () => {
    await using world = await chipWorld();
    const old = genuine();
    await attestChip(world, old);
    await rename(world, hashOf(old), 'n');
    await allow(world, 'a', 'spare');
    await world.hosts.replace('n', 'spare', 'uid 0');
    await taken(rename(world, hashOf(old), 'n'), /a{64}/);
    await rename(world, hashOf(old), 'spare');
    assert.deepEqual((await names(world)).sort(), ['n', 'spare']);
  });

  it('is not given back by a deny or a forget that an enrolment was faster than', async () => {
    await using world = await chipWorld({ enrol: 'allow-list' });
    const chip = genuine();
    await world.hosts.allow({ ekHash: hashOf(chip), name: 'n', labels: {} }, 'uid 0');
    const [attested, denied] = await Promise.allSettled([
      attestChip(world, chip),
      world.hosts.deny('n', 'uid 0'),
    ]);
    if (attested.status === 'fulfilled') {
      assert.equal(denied.status, 'rejected');
      await taken(allow(world, 'a', 'n'), new RegExp(hashOf(chip)));
    } else {
      assert.ok(['attestation_raced', 'enrolment_refused'].includes(attested.reason.code));
      await allow(world, 'a', 'n');
    }
  });
});
