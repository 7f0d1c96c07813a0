import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { silentLogger } from '../../src/log.js';
import { openAuthority } from '../../src/server/authority/authority.js';
import { createIssuer } from '../../src/server/issue.js';
import { memoryKeyManager } from '../../src/server/key-managers/memory.js';
import { openServerSvid } from '../../src/server/server-svid.js';
import { manualClock, until } from '../fakes/manual-clock.js';
import { memoryDatastore } from '../fakes/memory-datastore.js';
import { testConfig } from '../fakes/test-server.js';

async function open(t: { after(task: () => Promise<void>): void }) {
  const clock = manualClock();
  const config = testConfig('/nowhere');
  const log = silentLogger();
  const parts = {
    store: memoryDatastore(),
    keys: memoryKeyManager(),
    upstream: undefined,
    clock,
    logger: log,
  };
  const authority = await openAuthority({ config, ...parts });
  const issuer = createIssuer({ config, authority, clock });
  let broken = false;
  const serverX509: typeof issuer.serverX509 = (spki) => {
    if (broken) throw new Error('no signer');
    return issuer.serverX509(spki);
  };
  const svid = await openServerSvid({ issuer: { ...issuer, serverX509 }, authority, clock, log });
  t.after(async () => {
    svid[Symbol.dispose]();
    await authority[Symbol.asyncDispose]();
  });
  const serial = () => new X509Certificate(svid.chain()[0] ?? new Uint8Array()).serialNumber;
  const fail = (now: boolean) => {
    broken = now;
  };
  return { clock, authority, svid, serial, fail };
}

test('the key and the chain that TLS is given belong together', async (t) => {
  const { svid } = await open(t);
  const { keyPem, chainPem } = svid.identity();
  const leaf = new X509Certificate(chainPem);
  assert.equal(leaf.subjectAltName, 'URI:spiffe://example.org/spire/server');
  const { createPrivateKey } = await import('node:crypto');
  assert.equal(leaf.checkPrivateKey(createPrivateKey(keyPem)), true);
});

test('it is renewed at half of its life, with a new key, and not before', async (t) => {
  const { clock, svid, serial } = await open(t);
  const before = { serial: serial(), ...svid.identity() };
  await clock.pass(1_795_000);
  assert.equal(serial(), before.serial);
  clock.advance(10_000);
  await until('a new SVID', () => serial() !== before.serial);
  assert.notEqual(svid.identity().keyPem, before.keyPem);
});

test('it is renewed at once when another authority signs, and when one changes during that, once more', async (t) => {
  const { authority, svid, serial } = await open(t);
  const first = serial();
  const told: string[] = [];
  svid.onChange(({ serial: one }) => void told.push(one));
  for (let round = 0; round < 2; round += 1) {
    const { id } = await authority.x509.prepare();
    await authority.x509.activate(id);
  }
  const signer = Buffer.from(authority.x509.signer().id, 'hex').toString('hex');
  const issuer = () => {
    const text = new X509Certificate(svid.chain()[0] ?? new Uint8Array());
    const chainOk = text.verify(new X509Certificate(authority.x509.signer().certificate).publicKey);
    return chainOk ? signer : '';
  };
  await until('the newest authority signed it', () => issuer() === signer);
  assert.notEqual(serial(), first);
  assert.ok(told.length >= 1);
});

test('a renewal that fails is tried again soon, and the one in use stays', async (t) => {
  const { clock, serial, fail } = await open(t);
  const before = serial();
  fail(true);
  await clock.pass(1_801_000, 600_500);
  assert.equal(serial(), before);
  fail(false);
  await clock.pass(6_000, 2_000);
  await until('a new SVID', () => serial() !== before);
});
