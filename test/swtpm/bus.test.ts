import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createConnection, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { openTpm } from '../../src/host/open-tpm.js';
import { silentLogger } from '../../src/log.js';
import { makeCredential } from '../../src/tpm/make-credential.js';
import { nameOf } from '../../src/tpm/name.js';
import { parsePublic } from '../../src/tpm/public.js';
import { haveSwtpm, startCopy, type TestSwtpm } from '../support/swtpm.js';

const log = silentLogger();
const unique = createHash('sha256').update('unique of this test').digest();

/** Sits where a probe on the bus would, and keeps all that passes. */
function probe(chip: TestSwtpm) {
  const path = join(chip.directory, 'probe.sock');
  const real = chip.tcti.replace('swtpm:path=', '');
  const seen: Buffer[] = [];
  const sockets: Socket[] = [];
  const servers = ['', '.ctrl'].map((suffix) =>
    createServer((near) => {
      const far = createConnection(`${real}${suffix}`);
      sockets.push(near, far);
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        from.on('error', () => to.destroy()).on('close', () => to.destroy());
        from.on('data', (chunk) => {
          seen.push(chunk);
          to.write(chunk);
        });
      }
    }).listen(`${path}${suffix}`),
  );
  return {
    tcti: `swtpm:path=${path}`,
    saw: (bytes: Uint8Array) => Buffer.concat(seen).includes(Buffer.from(bytes)),
    [Symbol.dispose]() {
      for (const server of servers) server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

describe('a probe on the bus to the chip', () => {
  test('sees the credential in no activation', async (t) => {
    if (!(await haveSwtpm(t))) return;
    await using chip = await startCopy();
    using bus = probe(chip);
    await using tpm = await openTpm({ tcti: bus.tcti, log });
    const ak = await tpm.attestationKey(unique);
    assert.ok(bus.saw(ak), 'the probe sees what is public');
    for (const { template, public: ek } of await tpm.endorsementKeys()) {
      const credential = createHash('sha256').update(template).digest();
      const made = makeCredential({ ek: parsePublic(ek), akName: nameOf(parsePublic(ak)), credential });
      const given = await tpm.activateCredential(template, unique, made.credentialBlob, made.encryptedSecret);
      assert.deepEqual(Buffer.from(given), credential);
      assert.ok(bus.saw(made.credentialBlob));
      assert.ok(!bus.saw(credential));
    }
  });

  test('does not see the endorsement authorisation', async (t) => {
    if (!(await haveSwtpm(t))) return;
    const { haveTpm2Tools, tpm2 } = await import('../support/tpm2-tools.js');
    if (!haveTpm2Tools(t)) return;
    await using chip = await startCopy();
    tpm2(chip.tcti, 'changeauth', '-c', 'endorsement', 'correct horse');
    using bus = probe(chip);
    const endorsementAuth = Buffer.from('correct horse');
    await using tpm = await openTpm({ tcti: bus.tcti, log, endorsementAuth });
    const ak = await tpm.attestationKey(unique);
    assert.ok(bus.saw(ak));
    const [key] = await tpm.endorsementKeys();
    assert.ok(key);
    const credential = Buffer.alloc(32, 0xc5);
    const akName = nameOf(parsePublic(ak));
    const made = makeCredential({ ek: parsePublic(key.public), akName, credential });
    await tpm.activateCredential(key.template, unique, made.credentialBlob, made.encryptedSecret);
    assert.ok(!bus.saw(endorsementAuth));
    assert.ok(!bus.saw(credential));
  });
});
