import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { silentLogger } from '../../../src/log.js';
import { type AuthorityDeps, openAuthority } from '../../../src/server/authority/authority.js';
import type { Authority } from '../../../src/server/contract.js';
import { memoryKeyManager } from '../../../src/server/key-managers/memory.js';
import type { UpstreamAuthority } from '../../../src/server/upstream-authorities/contract.js';
import { openDiskUpstream } from '../../../src/server/upstream-authorities/disk.js';
import { parseTrustDomain } from '../../../src/spiffe/id.js';
import { type CertificateSigner, selfSign, signCertificate } from '../../../src/x509/certificate.js';
import { verifyChain } from '../../../src/x509/chain.js';
import { readCsr } from '../../../src/x509/csr.js';
import { generateKey } from '../../../src/x509/keys.js';
import { encodeName } from '../../../src/x509/name.js';
import { readCertificate } from '../../../src/x509/read-certificate.js';
import { exportSpki } from '../../../src/x509/spki.js';
import { manualClock } from '../../fakes/manual-clock.js';
import { memoryDatastore } from '../../fakes/memory-datastore.js';
import { makeIntermediate, makeRoot, writeFiles } from '../upstream-authorities/files.js';

const scratch = await mkdtemp(join(tmpdir(), 'touchmark-authority-upstream-'));
after(() => rm(scratch, { recursive: true, force: true }));

const trustDomain = parseTrustDomain('example.org');
const subject = { country: 'DE', organization: 'Smithy', commonName: 'CA' };
const config: AuthorityDeps['config'] = {
  trustDomain,
  ca: { keyType: 'ec-p256', ttl: 3600, subject },
  jwt: { issuer: '', keyType: 'ec-p256' },
  bundleRefreshHint: 300,
};
const hex = (data: Uint8Array) => Buffer.from(data).toString('hex');

async function world() {
  const clock = manualClock();
  const now = clock.now() / 1000;
  const times = { notBefore: now - 60, notAfter: now + 86_400 };
  const directory = await mkdtemp(join(scratch, 'ca-'));
  const root = await makeRoot('root', times);
  const middle = await makeIntermediate('middle', root, times);
  const files = await writeFiles(directory, {
    chain: [middle.certificate],
    key: middle.key,
    roots: [root.certificate],
  });
  const upstream = await openDiskUpstream(files, { trustDomain, subject, clock });
  const deps: AuthorityDeps = {
    config,
    store: memoryDatastore(),
    keys: memoryKeyManager(),
    clock,
    logger: silentLogger(),
    upstream,
  };
  /** Moves to another root, both published. */
  async function moveOn(): Promise<CertificateSigner> {
    const next = await makeRoot('next', times);
    await writeFiles(directory, {
      chain: [next.certificate],
      key: next.key,
      roots: [next.certificate, root.certificate],
    });
    return next;
  }
  return { deps, root, middle, now, moveOn };
}

const roots = (authority: Authority) =>
  authority
    .bundle()
    .x509Authorities.map(({ der, tainted }) => [skid(der), tainted])
    .sort();
const skid = (der: Uint8Array) => hex(readCertificate(der).subjectKeyId ?? new Uint8Array());

async function rotate(authority: Authority): Promise<void> {
  await authority.x509.activate((await authority.x509.prepare()).id);
}

describe('an authority below an upstream authority', () => {
  test('publishes the root and signs with an intermediate whose chain leads there', async () => {
    const { deps, root, middle, now } = await world();
    await using authority = await openAuthority(deps);
    const signer = authority.x509.signer();
    assert.deepEqual(roots(authority), [[hex(root.skid), false]]);
    assert.equal(authority.x509.state().active?.upstreamAuthorityId, hex(root.skid));
    assert.equal(signer.intermediates.length, 2);
    assert.equal(skid(signer.intermediates[1] ?? new Uint8Array()), hex(middle.skid));
    const [own, ...above] = signer.intermediates.map(readCertificate);
    assert.ok(own);
    assert.equal(verifyChain(own, above, [readCertificate(root.certificate)], { now }).length, 3);
  });

  test('ends with the first of those above it, and so does all that it signs', async () => {
    const { deps, now } = await world();
    const root = await makeRoot('short', { notBefore: now - 60, notAfter: now + 1800 });
    const middle = await makeIntermediate('long', root, { notBefore: now - 60, notAfter: now + 86_400 });
    const directory = await mkdtemp(join(scratch, 'ca-'));
    const files = await writeFiles(directory, {
      chain: [middle.certificate],
      key: middle.key,
      roots: [root.certificate],
    });
    const short = await openDiskUpstream(files, { trustDomain, subject, clock: deps.clock });
    await using authority = await openAuthority({ ...deps, upstream: short });
    const signer = authority.x509.signer();
    assert.equal(readCertificate(signer.certificate).notAfter, now + 3600);
    assert.equal(signer.notAfter, now + 1800);
    assert.equal(authority.x509.state().active?.expiresAt, now + 1800);
  });

  test('a new intermediate below the same root changes nothing in the bundle', async () => {
    const { deps } = await world();
    await using authority = await openAuthority(deps);
    const bundle = authority.bundle();
    await rotate(authority);
    assert.equal(authority.bundle(), bundle);
  });

  test('a root that is left behind can be tainted and revoked', async () => {
    const { deps, root, moveOn } = await world();
    await using authority = await openAuthority(deps);
    const next = await moveOn();
    const old = hex(root.skid);
    await rotate(authority);
    assert.deepEqual(
      roots(authority),
      [
        [old, false],
        [hex(next.skid), false],
      ].sort(),
    );
    await assert.rejects(authority.revokeUpstream(old), {
      code: 'authority_not_tainted',
      message: `an upstream authority that is not tainted cannot be revoked: ${old}`,
    });
    await authority.taintUpstream(old.toUpperCase());
    assert.deepEqual(
      roots(authority),
      [
        [old, true],
        [hex(next.skid), false],
      ].sort(),
    );
    await assert.rejects(authority.taintUpstream(old), { code: 'authority_tainted' });
    await authority.revokeUpstream(old);
    assert.deepEqual(roots(authority), [[hex(next.skid), false]]);
  });

  test('the root of the active or of the prepared authority cannot be tainted', async () => {
    const { deps, root, moveOn } = await world();
    await using authority = await openAuthority(deps);
    const next = await moveOn();
    await assert.rejects(authority.taintUpstream(hex(root.skid)), {
      code: 'authority_in_use',
      message: `the upstream authority signs the active authority: ${hex(root.skid)}`,
    });
    await authority.x509.prepare();
    await assert.rejects(authority.taintUpstream(hex(next.skid)), { code: 'authority_not_old' });
    await assert.rejects(authority.taintUpstream(''), {
      code: 'authority_id_missing',
      message: 'no subject key ID was given',
    });
    await assert.rejects(authority.taintUpstream('abcd'), {
      code: 'authority_unknown',
      message: 'no old authority is signed by an upstream authority "abcd"',
    });
  });

  test('local X.509 authorities cannot be tainted or revoked, JWT keys can', async () => {
    const { deps } = await world();
    await using authority = await openAuthority(deps);
    const { id } = authority.x509.signer();
    await rotate(authority);
    for (const change of [authority.x509.taint(id), authority.x509.revoke(id)]) {
      await assert.rejects(change, {
        code: 'authority_has_upstream',
        message: /^a local X\.509 authority cannot be/,
      });
    }
    const jwt = authority.jwt.signer().id;
    await authority.jwt.activate((await authority.jwt.prepare()).id);
    assert.equal((await authority.jwt.taint(jwt)).tainted, true);
  });
});

describe('what a hostile upstream authority returns is refused', () => {
  type Twist = (
    minted: Awaited<ReturnType<UpstreamAuthority['mintCa']>>,
    root: CertificateSigner,
  ) => Promise<typeof minted>;

  async function opened(twist: Twist) {
    const { deps, root } = await world();
    const { upstream } = deps;
    assert.ok(upstream);
    const twisted: UpstreamAuthority = {
      mintCa: async (csr, ttl) => twist(await upstream.mintCa(csr, ttl), root),
    };
    return openAuthority({ ...deps, upstream: twisted });
  }
  const common = {
    serial: Uint8Array.of(9),
    subject: encodeName({ commonName: 'x' }),
    notBefore: 1_789_999_000,
    notAfter: 1_790_009_000,
  };

  test('nothing', async () => {
    await assert.rejects(
      opened(async ({ roots: r }) => ({ chain: [], roots: r })),
      {
        code: 'upstream_authority_invalid',
        message: "the upstream authority's answer is refused: it returned no certificate",
      },
    );
  });

  test('a certificate of another key', async () => {
    const twist: Twist = async (_, root) => {
      const spki = exportSpki(await generateKey('ec-p256'));
      const template = { kind: 'authority', ...common, spki, uri: 'spiffe://example.org' } as const;
      return { chain: [signCertificate(template, root)], roots: [root.certificate] };
    };
    await assert.rejects(opened(twist), {
      code: 'upstream_authority_invalid',
      message: /it certified another key$/,
    });
  });

  test('a leaf instead of an authority, and a certificate of another trust domain', async () => {
    const leaf: Twist = async ({ chain }, root) => {
      const { spki } = readCertificate(chain[0] ?? new Uint8Array());
      const template = {
        kind: 'leaf',
        ...common,
        spki,
        uri: 'spiffe://example.org/x',
        dnsNames: [],
      } as const;
      return { chain: [signCertificate(template, root)], roots: [root.certificate] };
    };
    await assert.rejects(opened(leaf), {
      code: 'upstream_authority_invalid',
      message: /its certificate may not sign$/,
    });
    const foreign: Twist = async ({ chain }, root) => {
      const { spki } = readCertificate(chain[0] ?? new Uint8Array());
      const template = { kind: 'authority', ...common, spki, uri: 'spiffe://other.org' } as const;
      return { chain: [signCertificate(template, root)], roots: [root.certificate] };
    };
    await assert.rejects(opened(foreign), {
      code: 'upstream_authority_invalid',
      message: /its certificate does not name spiffe:\/\/example\.org$/,
    });
  });

  test('a root that did not sign it', async () => {
    const twist: Twist = async ({ chain }) => {
      const key = await generateKey('ec-p256');
      const stranger = selfSign({ kind: 'authority', ...common, uri: 'spiffe://example.org' }, key);
      return { chain, roots: [stranger.certificate] };
    };
    await assert.rejects(opened(twist), { code: 'chain_untrusted' });
  });

  test('the request that it is sent is signed by the new key and names the trust domain', async () => {
    let uris: readonly string[] = [];
    const { deps } = await world();
    const { upstream } = deps;
    assert.ok(upstream);
    const spying: UpstreamAuthority = {
      mintCa: (csr, ttl) => {
        uris = readCsr(csr).uris;
        return upstream.mintCa(csr, ttl);
      },
    };
    await using authority = await openAuthority({ ...deps, upstream: spying });
    assert.deepEqual(uris, ['spiffe://example.org']);
    assert.ok(authority.x509.signer());
  });
});
