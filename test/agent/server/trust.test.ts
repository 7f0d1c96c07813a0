import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import test from 'node:test';
import { createTrust } from '../../../src/agent/server/trust.js';
import { createLogger } from '../../../src/log.js';
import type { Bundle } from '../../../src/spiffe/bundle.js';
import { parseTrustDomain } from '../../../src/spiffe/id.js';
import { exportSpki } from '../../../src/x509/spki.js';
import { manualClock, settle } from '../../fakes/manual-clock.js';
import { signingAuthority } from '../../fakes/signing-authority.js';
import { throwsCode } from '../../support/rejects.js';

const clock = manualClock();

/** A disk whose writes end when the test says so. */
function begin() {
  const authority = signingAuthority(clock);
  const lines: string[] = [];
  const saved: bigint[] = [];
  const open: { done(): void; fail(error: Error): void }[] = [];
  const write = (line: string) => void lines.push(line);
  const trust = createTrust({
    trustDomain: parseTrustDomain('example.org'),
    log: createLogger({ format: 'json', write, clock, journal: false }),
    first: authority.bundle(),
    save(bundle: Bundle) {
      saved.push(bundle.sequence);
      return new Promise((resolve, reject) => open.push({ done: resolve, fail: reject }));
    },
  });
  const rotate = () => {
    authority.rotate();
    trust.update(authority.bundle());
  };
  return { authority, trust, rotate, saved, open, lines };
}

test('what is on the disk already is not written again', async () => {
  const { authority, trust, saved } = begin();
  trust.update(authority.bundle());
  trust.update(authority.bundle());
  await trust.flushed();
  assert.deepEqual(saved, []);
});

test('of many changes during one write only the newest is written after it', async () => {
  const { trust, rotate, saved, open } = begin();
  for (let times = 0; times < 5; times += 1) rotate();
  assert.deepEqual(saved, [2n]);
  open[0]?.done();
  await settle();
  assert.deepEqual(saved, [2n, 6n]);
  open[1]?.done();
  await trust.flushed();
  assert.equal(trust.bundle?.sequence, 6n);
});

test('a write that fails does not keep the next one from being made, and is told', async () => {
  const { trust, rotate, saved, open, lines } = begin();
  rotate();
  rotate();
  open[0]?.fail(new Error('no space left'));
  await settle();
  assert.deepEqual(saved, [2n, 3n]);
  open[1]?.done();
  await trust.flushed();
  assert.equal(lines.filter((line) => line.includes('no space left')).length, 1);
  rotate();
  assert.deepEqual(saved, [2n, 3n, 4n], 'after a quiet time writing begins again');
  open[2]?.done();
  await trust.flushed();
});

test('whoever closes waits for the newest to be on the disk', async () => {
  const { trust, rotate, open } = begin();
  rotate();
  let flushed = false;
  const waiting = trust.flushed().then(() => {
    flushed = true;
  });
  await settle();
  assert.equal(flushed, false);
  rotate();
  open[0]?.done();
  await settle();
  assert.equal(flushed, false, 'a newer one is being written');
  open[1]?.done();
  await waiting;
});

test('a server of another trust domain is refused by what it calls itself', () => {
  const { trust } = begin();
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const other = signingAuthority(clock, 'other.test');
  const chain = other.x509For(exportSpki(publicKey), 'spiffe://other.test/spire/server', 60);
  throwsCode(
    'server_untrusted',
    /as spiffe:\/\/example\.org\/spire\/server: it calls itself spiffe:\/\/other\.test\/spire\/server$/,
    () => trust.verifyServer(chain, clock.now() / 1000),
  );
});
