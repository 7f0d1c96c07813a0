import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { openAuthority } from '../../../src/server/authority/authority.js';
import { makeSpiffeId } from '../../../src/spiffe/id.js';
import { selfSign } from '../../../src/x509/certificate.js';
import { generateKey } from '../../../src/x509/keys.js';
import { encodeName } from '../../../src/x509/name.js';
import { exportSpki } from '../../../src/x509/spki.js';
import { until } from '../../fakes/manual-clock.js';
import { trustDomain, world } from './world.js';

describe('appended authorities and foreign bundles', () => {
  test('are published besides the own ones, once, and leave when they end', async () => {
    const { deps, clock } = world();
    await using authority = await openAuthority(deps);
    const now = clock.now() / 1000;
    const der = await rootDer(now + 3600);
    const jwt = {
      keyId: 'other',
      spki: exportSpki(await generateKey('ec-p256')),
      expiresAt: now + 1800,
      tainted: false,
    };
    const additions = { x509Authorities: [{ der, tainted: false }], jwtAuthorities: [jwt] };
    const { sequence } = authority.bundle();
    const bundle = await authority.append(additions);
    assert.equal(bundle.x509Authorities.length, 2);
    assert.equal(bundle.jwtAuthorities.length, 2);
    assert.equal(bundle.sequence, sequence + 1n);
    assert.equal((await authority.append(additions)).sequence, sequence + 1n);
    await clock.pass(3600_000 + 60_000);
    await until('they are gone', () => authority.bundle().x509Authorities.length === 1);
    assert.equal(authority.bundle().jwtAuthorities.length, 1);
  });

  test('nobody can append a key under the key ID of ours', async () => {
    const { deps } = world();
    await using authority = await openAuthority(deps);
    const { id } = authority.jwt.signer();
    const spki = exportSpki(await generateKey('ec-p256'));
    await authority.append({
      x509Authorities: [],
      jwtAuthorities: [{ keyId: id, spki, expiresAt: 0, tainted: false }],
    });
    assert.equal(authority.bundle().jwtAuthorities.length, 1);
    assert.notDeepEqual(authority.bundle().jwtAuthorities[0]?.spki, spki);
  });

  test('appended ones survive a restart', async () => {
    const { deps, clock } = world();
    const first = await openAuthority(deps);
    const der = await rootDer(clock.now() / 1000 + 3600);
    await first.append({ x509Authorities: [{ der, tainted: true }], jwtAuthorities: [] });
    const { sequence } = first.bundle();
    await first[Symbol.asyncDispose]();
    await using again = await openAuthority(deps);
    assert.deepEqual(again.bundle().x509Authorities[1], { der: Buffer.from(der), tainted: true });
    assert.equal(again.bundle().sequence, sequence);
  });

  test('a foreign bundle is there as soon as it is stored, and gone when it is deleted', async () => {
    const { deps, store } = world();
    await using authority = await openAuthority(deps);
    let calls = 0;
    authority.onChange(() => {
      calls += 1;
    });
    const own = authority.bundle();
    const record = {
      trustDomain: 'other.org',
      x509Authorities: [],
      jwtAuthorities: [],
      refreshHint: 60,
      sequence: '9',
    };
    await store.commit([{ kind: 'bundle', key: 'other.org', value: record }]);
    assert.equal(authority.bundleOf('other.org')?.sequence, 9n);
    assert.equal(authority.bundleOf('other.org'), authority.bundleOf('other.org'));
    assert.deepEqual(authority.foreignDomains(), ['other.org']);
    assert.equal(calls, 1);
    assert.equal(authority.bundle(), own);
    await store.commit([{ kind: 'bundle', key: 'other.org', deleted: true }]);
    assert.equal(authority.bundleOf('other.org'), undefined);
    assert.deepEqual(authority.foreignDomains(), []);
  });
});

async function rootDer(notAfter: number): Promise<Uint8Array> {
  const subject = encodeName({ commonName: 'appended' });
  const uri = makeSpiffeId(trustDomain, '');
  const template = {
    kind: 'authority',
    serial: Uint8Array.of(1),
    subject,
    uri,
    notBefore: 0,
    notAfter,
  } as const;
  return selfSign(template, await generateKey('ec-p256')).certificate;
}
