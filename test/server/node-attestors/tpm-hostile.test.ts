import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { TouchmarkError } from '../../../src/errors.js';
import { attribute } from '../../../src/tpm/attributes.js';
import { parsePublic, serialisePublic } from '../../../src/tpm/public.js';
import type { AttestWorld } from '../../fakes/attest-world.js';
import { attacks, flip, prepare } from '../../fakes/attestation-attacks.js';
import { type ChipAgentOptions, chipAgent, newCsr } from '../../fakes/chip-agent.js';
import { attestChip, chipWorld, genuine, hashOf } from '../../fakes/chip-world.js';
import type { SoftwareTpm } from '../../fakes/software-tpm.js';
import { rejectsCode } from '../../support/rejects-async.js';

describe('what the tpm attestor refuses', () => {
  for (const attack of attacks) {
    it(attack.name, async () => {
      await using server = await chipWorld();
      const { chip, options } = await prepare(attack);
      await rejectsCode(attack.code, attack.message, attestChip(server, chip, options));
      assert.deepEqual(server.certified, []);
      assert.equal(server.store.revision, 0);
    });
  }

  it('a connection without TLS', async () => {
    await using server = await chipWorld();
    const agent = await chipAgent(genuine(), { serverLeaf: new Uint8Array() });
    const task = server.attest(agent, { serverLeaf: new Uint8Array() });
    await rejectsCode('attestation_request_invalid', /over TLS only/, task);
  });

  it('an answer after the deadline', async () => {
    await using server = await chipWorld();
    const evidence: ChipAgentOptions['evidence'] = (good) => {
      server.clock.advance(29_999);
      return good;
    };
    await attestChip(server, genuine(), { evidence });
    const late: ChipAgentOptions['evidence'] = (good) => {
      server.clock.advance(30_001);
      return good;
    };
    await rejectsCode(
      'attestation_timeout',
      /30 seconds$/,
      attestChip(server, genuine(), { evidence: late }),
    );
  });

  it('an answer that was good for an earlier challenge', async () => {
    await using server = await chipWorld();
    const chip = genuine();
    let recorded = new Uint8Array();
    const csr = newCsr();
    await attestChip(server, chip, {
      csr,
      answerBytes: (bytes) => {
        recorded = Uint8Array.from(bytes);
        return bytes;
      },
    });
    await rejectsCode(
      'activation_proof',
      /./,
      attestChip(server, chip, { csr, answerBytes: () => recorded }),
    );
    assert.equal(server.certified.length, 1);
  });

  it('a second attestation that raced the first', async () => {
    await using server = await chipWorld();
    const chip = genuine();
    await attestChip(server, chip);
    let inner: Promise<unknown> | undefined;
    const evidence: ChipAgentOptions['evidence'] = async (good) => {
      inner ??= attestChip(server, chip);
      await inner;
      return good;
    };
    await rejectsCode(
      'attestation_raced',
      /was changed while it attested$/,
      attestChip(server, chip, { evidence }),
    );
    assert.equal(server.registry.host(hashOf(chip))?.attestationNumber, 2);
  });

  it('two enrolments of one chip at once: one of them', async () => {
    await using server = await chipWorld();
    const chip = genuine();
    const both = await Promise.allSettled([attestChip(server, chip), attestChip(server, chip)]);
    assert.deepEqual(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
    const lost = both.find((one) => one.status === 'rejected');
    await rejectsCode('attestation_raced', /./, Promise.reject(lost?.reason));
    assert.equal([...server.registry.hosts()].length, 1);
  });

  it('an attestation during which an operator banned the host', async () => {
    await using server = await chipWorld();
    const chip = genuine();
    const { id } = await attestChip(server, chip);
    const evidence: ChipAgentOptions['evidence'] = async (good) => {
      await server.hosts.banNode(id, 'uid 0');
      return good;
    };
    await rejectsCode('agent_banned', /is banned$/, attestChip(server, chip, { evidence }));
    assert.equal(server.certified.length, 1);
  });

  it('nothing of a disk that is full is taken for done', async () => {
    await using server = await chipWorld();
    const chip = genuine();
    server.store.failAsFull(true);
    await rejectsCode('datastore_full', /full/, attestChip(server, chip));
    server.store.failAsFull(false);
    assert.equal(server.registry.nodeCount, 0);
    await attestChip(server, chip);
  });

  it('any endorsement key but the one that a template describes', async () => {
    await using server = await chipWorld();
    const chip = genuine();
    const weaker = serialisePublic({ ...chip.ek('p256-l2').public, attributes: attribute.decrypt });
    assert.equal(parsePublic(weaker).attributes, attribute.decrypt);
    const hello: ChipAgentOptions['hello'] = (all) => ({
      ...all,
      endorsementKeys: all.endorsementKeys.map((key) => ({ ...key, public: weaker })),
    });
    await rejectsCode('ek_attributes', /has the attributes/, attestChip(server, chip, { hello }));
  });

  it('a single flipped byte anywhere in the answer', { timeout: 60_000 }, async () => {
    await using server = await chipWorld();
    const chip = genuine();
    const length = await answerLength(server, chip);
    for (let at = 0; at < length; at += 3) {
      const answerBytes = (bytes: Uint8Array) => flip(bytes, at);
      const result = await attestChip(server, chip, { answerBytes }).catch((error: unknown) => error);
      assert.ok(result instanceof TouchmarkError, `byte ${at} was flipped: ${String(result)}`);
    }
    assert.equal(server.registry.host(hashOf(chip))?.attestationNumber, 1, 'only the honest answer counted');
  });
});

async function answerLength(server: AttestWorld, chip: SoftwareTpm): Promise<number> {
  let length = 0;
  const answerBytes = (bytes: Uint8Array) => {
    length = bytes.length;
    return bytes;
  };
  await attestChip(server, chip, { answerBytes });
  return length;
}
