import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { describe, test } from 'node:test';
import { openAuthority } from '../../../src/server/authority/authority.js';
import { memoryKeyManager } from '../../../src/server/key-managers/memory.js';
import { parseTrustDomain } from '../../../src/spiffe/id.js';
import { keyUsageBit } from '../../../src/x509/extensions.js';
import { readCertificate } from '../../../src/x509/read-certificate.js';
import { exportSpki, keyIdentifier, readSpki } from '../../../src/x509/spki.js';
import { until } from '../../fakes/manual-clock.js';
import { config, HOUR, ids, world } from './world.js';

describe('a new authority', () => {
  test('signs at once with keys that are published', async () => {
    const { deps, clock } = world();
    await using authority = await openAuthority(deps);
    const signer = authority.x509.signer();
    assert.deepEqual(ids(authority), { x509: [signer.id], jwt: [authority.jwt.signer().id] });
    assert.equal(signer.notAfter, clock.now() / 1000 + 24 * 3600);
    assert.equal(authority.x509.state().active?.id, signer.id);
    assert.equal(authority.x509.state().prepared, undefined);
    assert.equal(authority.bundle().sequence, 2n);
    assert.equal(authority.bundle().refreshHint, 300);
    assert.equal(authority.bundleOf('example.org'), authority.bundle());
  });

  test('has a certificate with the subject of the configuration, its serial number in it, and the ID of the domain', async () => {
    const { deps, clock } = world();
    await using authority = await openAuthority(deps);
    const der = authority.x509.signer().certificate;
    const openssl = new X509Certificate(der);
    const read = readCertificate(der);
    assert.equal(openssl.subject, `C=DE\nO=Smithy\nCN=CA\nserialNumber=${BigInt(`0x${read.serial}`)}`);
    assert.equal(openssl.issuer, openssl.subject);
    assert.deepEqual(read.uris, ['spiffe://example.org']);
    assert.equal(read.authority, true);
    assert.equal(read.pathLength, undefined);
    assert.equal(read.keyUsage, keyUsageBit.keyCertSign | keyUsageBit.crlSign);
    assert.equal(read.keyUsageCritical, true);
    assert.equal(read.extendedKeyUsage, undefined);
    assert.equal(read.notBefore, clock.now() / 1000 - 10);
    assert.ok(openssl.verify(openssl.publicKey));
    const expected = keyIdentifier(readSpki(exportSpki(authority.x509.signer().key)).keyBits);
    assert.equal(authority.x509.signer().id, Buffer.from(expected).toString('hex'));
  });

  test('has a JWT key with a random key ID of 32 characters and the same life', async () => {
    const { deps, clock } = world();
    await using authority = await openAuthority(deps);
    const [published] = authority.bundle().jwtAuthorities;
    assert.match(published?.keyId ?? '', /^[A-Za-z0-9_-]{32}$/);
    assert.equal(published?.expiresAt, clock.now() / 1000 + 24 * 3600);
    assert.ok(exportSpki(authority.jwt.signer().key).equals(published?.spki ?? new Uint8Array()));
  });

  test('TB-18 shares no key with another trust domain in the same process', async () => {
    const { deps } = world();
    const other = { ...config, trustDomain: parseTrustDomain('other.test') };
    await using one = await openAuthority(deps);
    await using two = await openAuthority({ ...world().deps, config: other });
    const keysOf = ({ x509, jwt }: typeof one) =>
      [x509, jwt].map((kind) => exportSpki(kind.signer().key).toString('hex'));
    assert.equal(new Set([...keysOf(one), ...keysOf(two)]).size, 4);
  });

  test('makes the key types that are configured', async () => {
    const { deps } = world();
    const ca = { ...config.ca, keyType: 'ec-p384' as const };
    await using authority = await openAuthority({
      ...deps,
      config: { ...config, ca, jwt: { issuer: '', keyType: 'rsa-2048' } },
    });
    assert.equal(authority.x509.signer().key.asymmetricKeyDetails?.namedCurve, 'secp384r1');
    assert.equal(authority.jwt.signer().algorithm, 'RS256');
  });

  test('fails to open when its first key cannot be stored', async () => {
    const { deps, store } = world();
    store.failAsFull(true);
    await assert.rejects(openAuthority(deps), { code: 'datastore_full' });
  });
});

describe('a restart', () => {
  test('continues with the same keys when the key manager has them', async () => {
    const { deps, clock } = world();
    const first = await openAuthority(deps);
    await clock.pass(12 * HOUR);
    await until('prepared', () => first.jwt.state().prepared !== undefined);
    const before = { ...ids(first), sequence: first.bundle().sequence, signer: first.x509.signer().id };
    const prepared = first.x509.state().prepared?.id ?? '';
    await first[Symbol.asyncDispose]();
    await using again = await openAuthority(deps);
    assert.deepEqual(
      { ...ids(again), sequence: again.bundle().sequence, signer: again.x509.signer().id },
      before,
    );
    assert.equal((await again.x509.activate(prepared)).id, prepared);
    assert.equal(again.x509.signer().id, prepared);
  });

  test('makes new authorities when the keys are gone, and keeps publishing the old ones until they end', async () => {
    const { deps, clock } = world();
    const first = await openAuthority(deps);
    const old = ids(first);
    const { sequence } = first.bundle();
    await first[Symbol.asyncDispose]();
    await using again = await openAuthority({ ...deps, keys: memoryKeyManager() });
    assert.notEqual(again.x509.signer().id, old.x509[0]);
    assert.equal(ids(again).x509.length, 2);
    assert.ok(old.x509.every((id) => ids(again).x509.includes(id)));
    assert.ok(old.jwt.every((id) => ids(again).jwt.includes(id)));
    assert.ok(again.bundle().sequence > sequence);
    await clock.pass(24 * HOUR + 60_000);
    await until('forgotten', () => !ids(again).x509.includes(old.x509[0] ?? ''));
  });

  test('with the key of another authority under its name does not sign with it', async () => {
    const { deps, keys } = world();
    const first = await openAuthority(deps);
    const { id } = first.x509.signer();
    const name = first.x509.state().active?.keyName ?? '';
    await first[Symbol.asyncDispose]();
    await keys.generate(name, 'ec-p256');
    await using again = await openAuthority(deps);
    assert.notEqual(again.x509.signer().id, id);
    assert.equal(again.x509.state().old?.id, id);
  });

  test('after all authorities ended while the server was off, it signs again at once', async () => {
    const { deps, clock } = world();
    await (await openAuthority(deps))[Symbol.asyncDispose]();
    clock.advance(30 * 24 * HOUR);
    await using again = await openAuthority(deps);
    assert.ok(again.x509.signer().notAfter > clock.now() / 1000);
    assert.equal(ids(again).x509.length, 1);
  });

  test('with another refresh hint publishes it under a new sequence', async () => {
    const { deps } = world();
    const first = await openAuthority(deps);
    const { sequence } = first.bundle();
    await first[Symbol.asyncDispose]();
    await using again = await openAuthority({ ...deps, config: { ...config, bundleRefreshHint: 77 } });
    assert.equal(again.bundle().refreshHint, 77);
    assert.equal(again.bundle().sequence, sequence + 1n);
  });
});
