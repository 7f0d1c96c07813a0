import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { tpmNodeId } from '../../../src/server/hosts/selectors.js';
import { formatSelector } from '../../../src/spiffe/selector.js';
import { domain, serverLeaf } from '../../fakes/attest-world.js';
import { type ChipAgentOptions, chipAgent } from '../../fakes/chip-agent.js';
import { attestChip, chipWorld, genuine, hashOf, onlyKey } from '../../fakes/chip-world.js';
import { createSoftwareTpm } from '../../fakes/software-tpm.js';
import { rejectsCode } from '../../support/rejects-async.js';

describe('whom the tpm attestor lets in', () => {
  it('refuses a genuine chip that is not on the allow-list, naming its keys', async () => {
    await using server = await chipWorld({ enrol: 'allow-list' });
    const chip = genuine();
    await rejectsCode(
      'enrolment_refused',
      new RegExp(`is allowed: ${hashOf(chip)}$`),
      attestChip(server, chip),
    );
    assert.equal(server.registry.nodeCount, 0);
  });

  it('lets in an allowed chip with its name and labels, and uses the allowance up', async () => {
    await using server = await chipWorld({ enrol: 'allow-list' });
    const chip = genuine({ templates: ['p256-l2', 'rsa2048-l1'] });
    const hash = hashOf(chip, 'rsa2048-l1');
    await server.hosts.allow({ ekHash: hash, name: 'edge-1', labels: { site: 'north' } }, 'uid 0');
    const result = await attestChip(server, chip);
    assert.equal(result.id, tpmNodeId(domain, hash));
    const host = server.registry.host(hash);
    assert.deepEqual(
      [host?.name, host?.labels, host?.enrolledBy],
      ['edge-1', { site: 'north' }, 'allow-list by uid 0'],
    );
    const selectors = server.registry.node(result.id)?.selectors.map(formatSelector);
    assert.ok(selectors?.includes('host:label:site:north'));
    assert.equal(await server.store.get('allowed_ek', hash), undefined);
  });

  it('lets an allowed key without a certificate in, and believes nothing else of it', async () => {
    await using server = await chipWorld({ enrol: 'allow-list' });
    const chip = createSoftwareTpm();
    await server.hosts.allow({ ekHash: hashOf(chip), name: '', labels: {} }, 'uid 0');
    await attestChip(server, chip);
    const [ek] = server.registry.host(hashOf(chip))?.eks ?? [];
    assert.deepEqual([ek?.manufacturer, ek?.model, ek?.anchor], ['', '', '']);
  });

  it('never joins a key in software to a genuine chip', async () => {
    await using server = await chipWorld();
    const [chip, soft] = [genuine(), createSoftwareTpm()];
    const [stowaway] = await soft.endorsementKeys();
    const key = { public: stowaway?.public ?? new Uint8Array(), certificate: new Uint8Array() };
    const both = (hello: Parameters<NonNullable<ChipAgentOptions['hello']>>[0]) => ({
      ...hello,
      endorsementKeys: [...hello.endorsementKeys, { ...hello.endorsementKeys[0], ...key }],
    });
    await attestChip(server, chip, { hello: both as never });
    assert.deepEqual(
      server.registry.host(hashOf(chip))?.eks.map(({ hash }) => hash),
      [hashOf(chip)],
    );
    assert.equal(server.registry.hostByEk(hashOf(soft)), undefined);
  });

  it('refuses by rule a chip that has no certified key of the algorithm', async () => {
    await using server = await chipWorld({ anyGenuineAlgorithm: 'p384' });
    await rejectsCode(
      'enrolment_refused',
      /asks for a certified p384 endorsement key$/,
      attestChip(server, genuine()),
    );
  });

  it('queues a chip once it proved its keys, under the code that its agent was shown', async () => {
    await using server = await chipWorld({ enrol: 'approval' });
    const chip = genuine();
    let code = '';
    const challenge: ChipAgentOptions['challenge'] = (sent) => {
      code = sent.approvalCode;
      return sent;
    };
    await rejectsCode(
      'enrolment_pending',
      /waits for an operator, who approves it by /,
      attestChip(server, chip, { challenge }),
    );
    const [waiting] = await server.hosts.list();
    assert.equal(waiting?.kind === 'pending' && waiting.pending.code, code);
    assert.match(code, /^[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}$/);
    const firstCode = code;
    await rejectsCode('enrolment_pending', new RegExp(firstCode), attestChip(server, chip, { challenge }));
    await server.hosts.approve(
      firstCode.toLowerCase().replace('-', ''),
      { name: 'edge-2', labels: {} },
      'uid 0',
    );
    await attestChip(server, chip);
    assert.equal(server.registry.host(hashOf(chip))?.enrolledBy, 'approval by uid 0');
    assert.deepEqual(
      (await server.hosts.list()).map(({ kind }) => kind),
      ['host'],
    );
  });

  it('does not queue a chip that proves nothing', async () => {
    await using server = await chipWorld({ enrol: 'approval' });
    const evidence: ChipAgentOptions['evidence'] = (good) => ({
      ...good,
      activationProof: new Uint8Array(32),
    });
    await rejectsCode('activation_proof', /does not match/, attestChip(server, genuine(), { evidence }));
    assert.deepEqual(await server.hosts.list(), []);
  });

  it('draws the code anew for each attempt until the chip proved its keys', async () => {
    await using server = await chipWorld({ enrol: 'approval' });
    const chip = genuine();
    const codes = new Set<string>();
    for (let attempt = 0; attempt < 3; attempt += 1) {
      const challenge: ChipAgentOptions['challenge'] = (sent) => {
        codes.add(sent.approvalCode);
        return sent;
      };
      const evidence: ChipAgentOptions['evidence'] = (good) => ({ ...good, signature: new Uint8Array(72) });
      await assert.rejects(attestChip(server, chip, { challenge, evidence }));
    }
    assert.equal(codes.size, 3);
  });

  it('bounds the queue per address and in total', async () => {
    await using server = await chipWorld({ enrol: 'approval' });
    const from = async (address: string) =>
      server.attest(await chipAgent(genuine(), { serverLeaf }), { address });
    await rejectsCode('enrolment_pending', /waits/, from('192.0.2.1'));
    await rejectsCode('enrolment_pending', /waits/, from('192.0.2.1'));
    await rejectsCode('enrolment_queue_full', /^2 hosts from 192\.0\.2\.1 wait/, from('192.0.2.1'));
    await rejectsCode('enrolment_pending', /waits/, from('192.0.2.2'));
    await rejectsCode('enrolment_pending', /waits/, from('192.0.2.2'));
    await rejectsCode('enrolment_queue_full', /^4 hosts wait/, from('192.0.2.3'));
    server.clock.advance(600_000);
    await rejectsCode('enrolment_pending', /waits/, from('192.0.2.3'));
  });

  it('refuses a denied chip before its chip has to work, until the denial expires', async () => {
    await using server = await chipWorld({ enrol: 'approval' });
    const chip = genuine();
    await rejectsCode('enrolment_pending', /waits/, attestChip(server, chip));
    await server.hosts.deny(hashOf(chip), 'uid 0');
    assert.deepEqual(await server.hosts.list(), []);
    await rejectsCode('enrolment_denied', new RegExp(hashOf(chip)), attestChip(server, chip));
    server.clock.advance(600_000);
    await rejectsCode('enrolment_pending', /waits/, attestChip(server, chip));
  });

  it('does not let a banned chip return under its other key', async () => {
    await using server = await chipWorld();
    const chip = genuine({ templates: ['p256-l2', 'rsa2048-l1'] });
    const { id } = await attestChip(server, chip);
    await server.hosts.banNode(id, 'uid 0');
    await rejectsCode('host_banned', /is banned: uid 0 banned it$/, attestChip(server, chip));
    for (const at of [0, 1]) {
      await rejectsCode('host_banned', /is banned/, attestChip(server, chip, { hello: onlyKey(at) }));
    }
    const other = { ekHash: hashOf(chip, 'rsa2048-l1'), name: '', labels: {} };
    await rejectsCode(
      'host_state_conflict',
      /is banned: release it to let it in again$/,
      server.hosts.allow(other, 'uid 0'),
    );
    await rejectsCode('host_banned', /is banned/, attestChip(server, chip));
    await server.hosts.release(hashOf(chip), 'uid 0');
    assert.equal((await attestChip(server, chip)).id, id);
  });

  it('refuses a chip whose keys belong to two hosts', async () => {
    await using server = await chipWorld();
    const chip = genuine({ templates: ['p256-l2', 'rsa2048-l1'] });
    await attestChip(server, genuine());
    const [other] = [...server.registry.hosts()];
    assert.ok(other);
    const key = hashOf(chip, 'rsa2048-l1');
    await server.store.commit([{ kind: 'host_ek', key, value: { hostId: other.id } }]);
    await server.store.commit([{ kind: 'host_ek', key: hashOf(chip), value: { hostId: 'cd' } }]);
    await rejectsCode('enrolment_refused', /belong to more than one host/, attestChip(server, chip));
  });

  for (const state of ['quarantined', 'retired'] as const) {
    it(`gives a ${state} host no SVID`, async () => {
      await using server = await chipWorld();
      const chip = genuine();
      await attestChip(server, chip);
      if (state === 'retired') await server.hosts.retire(hashOf(chip), '', 'uid 0');
      else await server.hosts.quarantine(hashOf(chip), 'odd noises', 'uid 0');
      await rejectsCode(`host_${state}`, /^host [0-9a-f]{64} is /, attestChip(server, chip));
      assert.equal(server.certified.length, 1);
    });
  }
});
