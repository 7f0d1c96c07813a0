import assert from 'node:assert/strict';
import { createPublicKey, X509Certificate } from 'node:crypto';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { silentLogger } from '../../src/log.js';
import { openAuthority } from '../../src/server/authority/authority.js';
import type { Authority, X509Signer } from '../../src/server/contract.js';
import { createIssuer, type IssuerDeps, serialSource } from '../../src/server/issue.js';
import { memoryKeyManager } from '../../src/server/key-managers/memory.js';
import { parseSpiffeId, parseTrustDomain } from '../../src/spiffe/id.js';
import { verifyJwtSvid } from '../../src/spiffe/verify-jwt-svid.js';
import { verifyX509Svid } from '../../src/spiffe/x509-svid.js';
import { generateKey } from '../../src/x509/keys.js';
import { readCertificate } from '../../src/x509/read-certificate.js';
import { exportSpki } from '../../src/x509/spki.js';
import { manualClock } from '../fakes/manual-clock.js';
import { memoryDatastore } from '../fakes/memory-datastore.js';

const trustDomain = parseTrustDomain('example.org');
const config: IssuerDeps['config'] = {
  trustDomain,
  svid: { x509Ttl: 3600, jwtTtl: 300, agentTtl: 7200 },
  ca: { keyType: 'ec-p256', ttl: 86_400, subject: { country: 'DE', organization: 'Smithy', commonName: '' } },
  jwt: { issuer: 'https://issuer.example.org', keyType: 'ec-p256' },
};
const web = parseSpiffeId('spiffe://example.org/web');
const agent = parseSpiffeId('spiffe://example.org/spire/agent/tpm/00ff');
const spki = exportSpki(await generateKey('ec-p256'));

async function world(change: Partial<IssuerDeps['config']> = {}) {
  const clock = manualClock();
  const authority = await openAuthority({
    config: { ...config, bundleRefreshHint: 300 },
    store: memoryDatastore(),
    keys: memoryKeyManager(),
    clock,
    logger: silentLogger(),
  });
  const issuer = createIssuer({ config: { ...config, ...change }, authority, clock });
  return { clock, authority, issuer, now: clock.now() / 1000 };
}

describe('a workload certificate', () => {
  test('is verified by the published bundle and says what was asked for', async () => {
    const { issuer, authority, now } = await world();
    const issued = issuer.workloadX509({
      id: web,
      spki,
      ttl: 600,
      dnsNames: ['web.example.org', '*.example.org'],
    });
    const svid = verifyX509Svid(issued.chain, authority.bundle(), now);
    assert.equal(svid.id, web);
    const leaf = readCertificate(issued.chain[0] ?? new Uint8Array());
    assert.equal(leaf.notBefore, now - 10);
    assert.equal(leaf.notAfter, now + 600);
    assert.equal(issued.expiresAt, now + 600);
    assert.equal(issued.serial, leaf.serial);
    assert.equal(issued.id, web);
    assert.equal(issued.chain.length, 1, 'a self-signed root is not sent along');
    assert.deepEqual(leaf.dnsNames, ['web.example.org', '*.example.org']);
    const openssl = new X509Certificate(issued.chain[0] ?? '');
    assert.ok(openssl.verify(createPublicKey(authority.x509.signer().key)));
    assert.equal(openssl.subject, 'C=US\nO=Touchmark\nCN=web.example.org');
    assert.equal(openssl.keyUsage?.join(), '1.3.6.1.5.5.7.3.1,1.3.6.1.5.5.7.3.2');
  });

  test('has the configured life when none is asked for, and never outlives its authority', async () => {
    const { issuer, authority, clock, now } = await world();
    assert.equal(issuer.workloadX509({ id: web, spki, ttl: 0 }).expiresAt, now + 3600);
    const end = authority.x509.signer().notAfter;
    assert.equal(issuer.workloadX509({ id: web, spki, ttl: 10 ** 9 }).expiresAt, end);
    clock.advance(1000);
    assert.equal(issuer.workloadX509({ id: web, spki, ttl: 10 ** 9 }).expiresAt, end);
  });

  test('is refused for names that no workload has', async () => {
    const { issuer } = await world();
    const ids = [
      'spiffe://example.org',
      'spiffe://other.org/web',
      'spiffe://example.org/spire/server',
      'spiffe://example.org/spire',
    ];
    for (const id of [...ids.map(parseSpiffeId), agent]) {
      assert.throws(() => issuer.workloadX509({ id, spki, ttl: 0 }), {
        code: 'spiffe_id_invalid',
        message: `${id} is no workload of this trust domain`,
      });
    }
  });

  test('is refused for a key that SVIDs may not have', async () => {
    const { issuer } = await world();
    assert.throws(() => issuer.workloadX509({ id: web, spki: spki.subarray(0, 40), ttl: 0 }), {
      code: 'der_invalid',
    });
  });

  test('is made for RSA and P-384 keys, under RSA and P-384 authorities', async () => {
    for (const keyType of ['ec-p384', 'rsa-2048'] as const) {
      const clock = manualClock();
      const ca = { ...config.ca, keyType };
      await using authority = await openAuthority({
        config: { ...config, ca, bundleRefreshHint: 300 },
        store: memoryDatastore(),
        keys: memoryKeyManager(),
        clock,
        logger: silentLogger(),
      });
      const issuer = createIssuer({ config, authority, clock });
      const key = exportSpki(await generateKey(keyType));
      const { chain } = issuer.workloadX509({ id: web, spki: key, ttl: 0 });
      assert.equal(verifyX509Svid(chain, authority.bundle(), clock.now() / 1000).id, web);
    }
  });

  test('any name and life that may be asked for reads the same afterwards', async () => {
    const { issuer, now } = await world();
    const segment = fc.stringMatching(/^[A-Za-z0-9_-]{1,20}$/).filter((text) => text !== 'spire');
    const path = fc.array(segment, { minLength: 1, maxLength: 4 });
    const dns = fc.array(fc.stringMatching(/^[a-z][a-z0-9]{0,10}\.example$/), { maxLength: 3 });
    fc.assert(
      fc.property(path, dns, fc.integer({ min: 1, max: 80_000 }), (segments, dnsNames, ttl) => {
        const id = parseSpiffeId(`spiffe://example.org/${segments.join('/')}`);
        const { chain } = issuer.workloadX509({ id, spki, ttl, dnsNames });
        const leaf = readCertificate(chain[0] ?? new Uint8Array());
        assert.deepEqual([leaf.uris, leaf.dnsNames, leaf.notAfter], [[id], dnsNames, now + ttl]);
      }),
      { numRuns: 100, seed: 5 },
    );
  });
});

describe('other certificates', () => {
  test('an agent has the life of agents and an ID of agents', async () => {
    const { issuer, now } = await world();
    assert.equal(issuer.agentX509({ id: agent, spki, ttl: 0 }).expiresAt, now + 7200);
    for (const id of [web, parseSpiffeId('spiffe://other.org/spire/agent/x/y')]) {
      assert.throws(() => issuer.agentX509({ id, spki, ttl: 0 }), {
        code: 'spiffe_id_invalid',
        message: `${id} is no agent of this trust domain`,
      });
    }
  });

  test('the server names itself', async () => {
    const { issuer, authority, now } = await world();
    const { chain, expiresAt } = issuer.serverX509(spki);
    assert.equal(verifyX509Svid(chain, authority.bundle(), now).id, 'spiffe://example.org/spire/server');
    assert.equal(expiresAt, now + 3600);
  });

  test('a downstream authority signs for the trust domain, below ours', async () => {
    const { issuer, authority, now } = await world();
    const issued = issuer.downstreamCa({ spki, ttl: 1800, node: undefined });
    const ca = readCertificate(issued.chain[0] ?? new Uint8Array());
    assert.equal(ca.authority, true);
    assert.deepEqual(ca.uris, ['spiffe://example.org']);
    assert.equal(ca.notAfter, now + 1800);
    assert.equal(new X509Certificate(ca.der).subject, 'C=DE\nO=Smithy\nOU=DOWNSTREAM-1');
    assert.ok(new X509Certificate(ca.der).verify(createPublicKey(authority.x509.signer().key)));
    assert.equal(
      issuer.downstreamCa({ spki, ttl: 0, node: undefined }).expiresAt,
      authority.x509.signer().notAfter,
    );
  });

  test('DF-14 what follows a leaf below an upstream authority is the chain without the root', async () => {
    const { authority, clock } = await world();
    const signer = authority.x509.signer();
    const below: X509Signer = { ...signer, intermediates: [signer.certificate] };
    const issuer = createIssuer({ config, authority: withSigner(authority, () => below), clock });
    assert.deepEqual(issuer.workloadX509({ id: web, spki, ttl: 0 }).chain.slice(1), [signer.certificate]);
  });
});

describe('a token', () => {
  test('is verified by the published bundle and says what was asked for', async () => {
    const { issuer, authority, now } = await world();
    const issued = issuer.jwt({ id: web, audience: ['a', 'b'], ttl: 60, withJti: false });
    const read = verifyJwtSvid(issued.token, { bundles: authority.bundle(), audience: 'b', now });
    assert.equal(read.id, web);
    assert.deepEqual(read.audience, ['a', 'b']);
    assert.equal(read.keyId, authority.jwt.signer().id);
    assert.deepEqual([issued.issuedAt, issued.expiresAt], [now, now + 60]);
    assert.deepEqual([read.issuedAt, read.expiresAt, read.notBefore], [now, now + 60, undefined]);
    assert.equal(read.claims['iss'], 'https://issuer.example.org');
    assert.equal(read.claims['jti'], undefined);
  });

  test('has no issuer where none is configured, and an ID of its own where one is asked for', async () => {
    const { issuer, authority, now } = await world({ jwt: { issuer: '', keyType: 'ec-p256' } });
    const ids = [1, 2].map(() => {
      const { token } = issuer.jwt({ id: web, audience: ['a'], ttl: 0, withJti: true });
      const { claims } = verifyJwtSvid(token, { bundles: authority.bundle(), audience: 'a', now });
      assert.equal('iss' in claims, false);
      return claims['jti'];
    });
    assert.match(String(ids[0]), /^[A-Za-z0-9_-]{16,}/);
    assert.notEqual(ids[0], ids[1]);
  });

  test('JS-23 has the configured life when none is asked for, and never outlives its key', async () => {
    const { issuer, authority, now } = await world();
    assert.equal(issuer.jwt({ id: web, audience: ['a'], ttl: 0, withJti: false }).expiresAt, now + 300);
    const { expiresAt } = issuer.jwt({ id: web, audience: ['a'], ttl: 10 ** 9, withJti: false });
    assert.equal(expiresAt, authority.jwt.signer().notAfter);
  });

  test('is refused without an audience and for names that no workload has', async () => {
    const { issuer } = await world();
    assert.throws(() => issuer.jwt({ id: web, audience: [], ttl: 0, withJti: false }), {
      code: 'jwt_svid_invalid',
    });
    assert.throws(() => issuer.jwt({ id: agent, audience: ['a'], ttl: 0, withJti: false }), {
      code: 'spiffe_id_invalid',
      message: `${agent} is no workload of this trust domain`,
    });
  });
});

describe('the issuer', () => {
  test('says clearly that its authority has ended', async () => {
    const { authority, clock } = await world();
    const past: X509Signer = { ...authority.x509.signer(), notAfter: clock.now() / 1000 };
    const issuer = createIssuer({ config, authority: withSigner(authority, () => past), clock });
    assert.throws(() => issuer.workloadX509({ id: web, spki, ttl: 0 }), {
      code: 'authority_unavailable',
      message: 'the signing authority has ended',
    });
  });

  test('follows the authority when another one is activated', async () => {
    const { issuer, authority, now } = await world();
    issuer.workloadX509({ id: web, spki, ttl: 0 });
    const { id } = await authority.x509.prepare();
    await authority.x509.activate(id);
    const { chain } = issuer.workloadX509({ id: web, spki, ttl: 0 });
    const leaf = readCertificate(chain[0] ?? new Uint8Array());
    assert.equal(Buffer.from(leaf.authorityKeyId ?? []).toString('hex'), id);
    assert.equal(verifyX509Svid(chain, authority.bundle(), now).id, web);
  });

  test('refuses a key that is not that of the certificate', async () => {
    const { authority, clock } = await world();
    const key = await generateKey('ec-p256');
    const wrong: X509Signer = { ...authority.x509.signer(), key };
    const issuer = createIssuer({ config, authority: withSigner(authority, () => wrong), clock });
    assert.throws(() => issuer.workloadX509({ id: web, spki, ttl: 0 }), {
      code: 'certificate_invalid',
      message: 'the signing key is not the key of its certificate',
    });
  });

  test('draws serial numbers of 128 bits that are never zero and do not repeat', () => {
    const draw = serialSource(8);
    const serials = Array.from({ length: 5000 }, () => Buffer.from(draw()).toString('hex'));
    assert.equal(new Set(serials).size, 5000);
    assert.ok(serials.every((serial) => serial.length === 32 && !/^0*$/.test(serial)));
    const ones = serials
      .flatMap((serial) => [...BigInt(`0x${serial}`).toString(2)])
      .filter((bit) => bit === '1').length;
    assert.ok(Math.abs(ones / (5000 * 128) - 0.5) < 0.01, 'half of all bits are set');
  });
});

function withSigner(authority: Authority, signer: () => X509Signer): IssuerDeps['authority'] {
  return { jwt: authority.jwt, x509: { ...authority.x509, signer } };
}
