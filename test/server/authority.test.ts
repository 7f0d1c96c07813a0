import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { describe, test } from 'node:test';
import { hasCode } from '../../src/errors.js';
import { createLogger, silentLogger } from '../../src/log.js';
import { type AuthorityDeps, openAuthority } from '../../src/server/authority.js';
import type { Authority } from '../../src/server/contract.js';
import type { KeyManager } from '../../src/server/key-managers/contract.js';
import { memoryKeyManager } from '../../src/server/key-managers/memory.js';
import { makeSpiffeId, parseTrustDomain } from '../../src/spiffe/id.js';
import { selfSign } from '../../src/x509/certificate.js';
import { keyUsageBit } from '../../src/x509/extensions.js';
import { generateKey } from '../../src/x509/keys.js';
import { encodeName } from '../../src/x509/name.js';
import { readCertificate } from '../../src/x509/read-certificate.js';
import { exportSpki, keyIdentifier, readSpki } from '../../src/x509/spki.js';
import { manualClock, settle, until } from '../fakes/manual-clock.js';
import { memoryDatastore } from '../fakes/memory-datastore.js';

const HOUR = 3_600_000;
const trustDomain = parseTrustDomain('example.org');
const config: AuthorityDeps['config'] = {
  trustDomain,
  ca: {
    keyType: 'ec-p256',
    ttl: 24 * 3600,
    subject: { country: 'DE', organization: 'Smithy', commonName: 'CA' },
  },
  jwt: { issuer: '', keyType: 'ec-p256' },
  bundleRefreshHint: 300,
};

function world() {
  const clock = manualClock();
  const store = memoryDatastore();
  const keys = memoryKeyManager();
  const deps: AuthorityDeps = { config, store, keys, clock, logger: silentLogger() };
  return { clock, store, keys, deps };
}

const ids = (authority: Authority) => ({
  x509: authority.bundle().x509Authorities.map(({ der }) => skidOf(der)),
  jwt: authority.bundle().jwtAuthorities.map(({ keyId }) => keyId),
});
const skidOf = (der: Uint8Array) => Buffer.from(readCertificate(der).subjectKeyId ?? []).toString('hex');

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

describe('rotation by time', () => {
  test('prepares at half life, signs with the successor at five sixths, forgets the old when it has ended', async () => {
    const { deps, clock } = world();
    await using authority = await openAuthority(deps);
    const first = authority.x509.signer().id;
    await clock.pass(12 * HOUR - 1000);
    assert.equal(authority.x509.state().prepared, undefined);
    await clock.pass(1000);
    await until('both are prepared', () => authority.jwt.state().prepared !== undefined);
    const second = authority.x509.state().prepared?.id ?? '';
    assert.deepEqual(ids(authority).x509, [first, second]);
    assert.equal(authority.x509.signer().id, first);
    assert.equal(authority.bundle().sequence, 4n);

    await clock.pass(8 * HOUR);
    await until('the second signs', () => authority.jwt.state().old !== undefined);
    assert.equal(authority.x509.signer().id, second);
    assert.equal(authority.x509.state().old?.id, first);
    assert.deepEqual(ids(authority).x509, [first, second]);
    assert.equal(authority.bundle().sequence, 4n, 'activating publishes nothing new');

    await clock.pass(4 * HOUR + 60_000);
    await until('the first is forgotten', () => ids(authority).x509[0] !== first);
    assert.equal(authority.x509.state().old, undefined);
    assert.equal(ids(authority).jwt.length >= 1, true);
  });

  test('keeps one timer, set to the next moment at which something is due', async () => {
    const { deps, clock } = world();
    const authority = await openAuthority(deps);
    assert.equal(clock.timers, 1);
    await clock.pass(12 * HOUR);
    await until('prepared', () => authority.jwt.state().prepared !== undefined);
    await settle();
    assert.equal(clock.timers, 1);
    await authority[Symbol.asyncDispose]();
    assert.equal(clock.timers, 0);
  });

  test('over a week there is always a signer, and every certificate it made could be verified until its end', async () => {
    const { deps, clock } = world();
    await using authority = await openAuthority(deps);
    let last = authority.bundle().sequence;
    const seen = new Map<string, number>();
    for (let hour = 0; hour < 7 * 24; hour += 2) {
      const { id, notAfter } = authority.x509.signer();
      const published = ids(authority).x509;
      assert.ok(published.includes(id));
      for (const [old, end] of seen) if (end > clock.now() / 1000) assert.ok(published.includes(old));
      seen.set(id, notAfter);
      assert.ok(notAfter > clock.now() / 1000 + 2 * 3600);
      assert.ok(authority.bundle().sequence >= last);
      last = authority.bundle().sequence;
      await clock.pass(2 * HOUR, HOUR);
    }
    // Each lives for 24 hours and its successor is made at half of that.
    assert.ok(seen.size >= 13 && seen.size <= 15, `${seen.size} authorities in a week`);
  });

  test('a successor that cannot be made is tried again, later each time, while the old one signs on', async () => {
    const { deps, clock, store } = world();
    const lines: string[] = [];
    const logger = createLogger({ format: 'json', write: (line) => lines.push(line), clock, journal: false });
    await using authority = await openAuthority({ ...deps, logger });
    const first = authority.x509.signer().id;
    store.failAsFull(true);
    await clock.pass(12 * HOUR);
    await until('it failed', () => lines.some((line) => line.includes('rotating the authorities failed')));
    assert.equal(authority.x509.signer().id, first);
    await clock.pass(5000);
    await until('it failed again', () => lines.some((line) => line.includes('"retryInSeconds":10')));
    store.failAsFull(false);
    await clock.pass(10_000);
    await until('prepared', () => authority.x509.state().prepared !== undefined);
    assert.ok(lines.every((line) => !line.includes('PRIVATE')));
  });

  test('when no successor could be made in time, signing stops with a clear error', async () => {
    const { deps, clock, store } = world();
    await using authority = await openAuthority(deps);
    store.failAsFull(true);
    await clock.pass(24 * HOUR);
    assert.throws(() => authority.x509.signer(), {
      code: 'authority_unavailable',
      message: 'there is no X.509 authority that can sign: the active one has ended',
    });
    assert.throws(() => authority.jwt.signer(), {
      code: 'authority_unavailable',
      message: /no JWT authority/,
    });
    store.failAsFull(false);
    await clock.pass(300_000);
    await until('it signs again', () => (authority.x509.state().active?.expiresAt ?? 0) > clock.now() / 1000);
    assert.ok(authority.x509.signer());
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

describe('rotation by hand', () => {
  test('prepare, activate, taint and revoke each do their part', async () => {
    const { deps, keys } = world();
    await using authority = await openAuthority(deps);
    const first = authority.x509.signer().id;
    const prepared = await authority.x509.prepare();
    assert.equal(prepared.slot, 'prepared');
    assert.deepEqual(ids(authority).x509.sort(), [first, prepared.id].sort());
    const active = await authority.x509.activate(prepared.id);
    assert.equal(active.slot, 'active');
    assert.equal(authority.x509.signer().id, prepared.id);
    assert.equal(authority.x509.state().old?.id, first);
    assert.equal(authority.x509.state().old?.keyName, '');
    const { sequence } = authority.bundle();
    assert.equal((await authority.x509.taint(first)).tainted, true);
    assert.deepEqual(
      taints(authority),
      [
        [first, true],
        [prepared.id, false],
      ].sort(),
    );
    assert.equal(authority.bundle().sequence, sequence + 1n);
    assert.equal((await authority.x509.revoke(first)).id, first);
    assert.deepEqual(ids(authority).x509, [prepared.id]);
    assert.equal(authority.bundle().sequence, sequence + 2n);
    assert.equal(authority.x509.state().old, undefined);
    assert.equal(await heldKeys(keys, 'x509'), 1);
  });

  test('the JWT key goes the same way', async () => {
    const { deps } = world();
    await using authority = await openAuthority(deps);
    const first = authority.jwt.signer().id;
    const { id } = await authority.jwt.prepare();
    await authority.jwt.activate(id);
    await authority.jwt.taint(first);
    assert.equal(authority.bundle().jwtAuthorities.find(({ keyId }) => keyId === first)?.tainted, true);
    await authority.jwt.revoke(first);
    assert.deepEqual(ids(authority).jwt, [id]);
  });

  test('preparing twice leaves one prepared, and the unused one is published no more', async () => {
    const { deps, keys } = world();
    await using authority = await openAuthority(deps);
    const unused = await authority.x509.prepare();
    const second = await authority.x509.prepare();
    assert.equal(authority.x509.state().prepared?.id, second.id);
    assert.ok(!ids(authority).x509.includes(unused.id));
    assert.equal(await heldKeys(keys, 'x509'), 2);
  });

  test('each change calls the listeners, and the bundle is the same object until it changes', async () => {
    const { deps } = world();
    await using authority = await openAuthority(deps);
    let calls = 0;
    const stop = authority.onChange(() => {
      calls += 1;
    });
    const bundle = authority.bundle();
    assert.equal(authority.bundle(), bundle);
    const { id } = await authority.x509.prepare();
    assert.equal(calls, 1);
    const prepared = authority.bundle();
    assert.notEqual(prepared, bundle);
    await authority.x509.activate(id);
    assert.equal(calls, 2);
    assert.equal(authority.bundle(), prepared);
    stop();
    await authority.x509.prepare();
    assert.equal(calls, 2);
  });

  test('changes at the same time run one after the other', async () => {
    const { deps } = world();
    await using authority = await openAuthority(deps);
    const { sequence } = authority.bundle();
    await Promise.all([authority.x509.prepare(), authority.jwt.prepare(), authority.x509.prepare()]);
    assert.equal(authority.bundle().sequence, sequence + 3n);
  });

  const refusals: [string, string, RegExp, (a: Authority) => Promise<unknown>][] = [
    [
      'activate without an ID',
      'authority_id_missing',
      /^no authority ID was given$/,
      (a) => a.x509.activate(''),
    ],
    [
      'activate an unknown one',
      'authority_unknown',
      /^there is no authority with the ID "x"$/,
      (a) => a.jwt.activate('x'),
    ],
    [
      'activate the active one',
      'authority_not_prepared',
      /^only a prepared authority can be activated: /,
      (a) => a.x509.activate(a.x509.signer().id),
    ],
    ['taint without an ID', 'authority_id_missing', /^no authority ID was given$/, (a) => a.jwt.taint('')],
    [
      'taint the active one',
      'authority_in_use',
      /^the active authority cannot be tainted: /,
      (a) => a.x509.taint(a.x509.signer().id),
    ],
    ['taint an unknown one', 'authority_unknown', /^there is no authority/, (a) => a.x509.taint('00')],
    [
      'taint the prepared one',
      'authority_not_old',
      /^only an old authority can be tainted: /,
      async (a) => a.jwt.taint((await a.jwt.prepare()).id),
    ],
    [
      'revoke the active one',
      'authority_in_use',
      /^the active authority cannot be revoked: /,
      (a) => a.jwt.revoke(a.jwt.signer().id),
    ],
    [
      'revoke the prepared one',
      'authority_not_old',
      /^only an old authority can be revoked: /,
      async (a) => a.x509.revoke((await a.x509.prepare()).id),
    ],
    [
      'revoke one that is not tainted',
      'authority_not_tainted',
      /^an authority that is not tainted cannot be revoked: /,
      async (a) => a.x509.revoke(await replacedId(a)),
    ],
    [
      'taint one twice',
      'authority_tainted',
      /^the authority is tainted already: /,
      async (a) => {
        const id = await replacedId(a);
        await a.x509.taint(id);
        await a.x509.taint(id);
      },
    ],
    [
      'activate a JWT key as X.509',
      'authority_unknown',
      /^there is no authority/,
      async (a) => a.x509.activate((await a.jwt.prepare()).id),
    ],
    [
      'taint an upstream authority where there is none',
      'upstream_authority_missing',
      /^no upstream authority is configured$/,
      (a) => a.taintUpstream('00'),
    ],
    [
      'revoke an upstream authority where there is none',
      'upstream_authority_missing',
      /^no upstream authority is configured$/,
      (a) => a.revokeUpstream('00'),
    ],
  ];
  for (const [what, code, message, task] of refusals) {
    test(`refuses to ${what}`, async () => {
      const { deps } = world();
      await using authority = await openAuthority(deps);
      await assert.rejects(task(authority), { code, message });
    });
  }

  test('a change that cannot be stored changes nothing', async () => {
    const { deps, store, keys } = world();
    await using authority = await openAuthority(deps);
    const bundle = authority.bundle();
    store.failAsFull(true);
    await assert.rejects(authority.x509.prepare(), (error) => hasCode(error, 'datastore_full'));
    assert.equal(authority.bundle(), bundle);
    store.failAsFull(false);
    await authority.x509.prepare();
    assert.equal(await heldKeys(keys, 'x509'), 2);
  });
});

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

function taints(authority: Authority): [string, boolean][] {
  const pairs = authority
    .bundle()
    .x509Authorities.map(({ der, tainted }): [string, boolean] => [skidOf(der), tainted]);
  return pairs.sort();
}

/** Replaces the active authority and returns the ID of the one that is old now. */
async function replacedId(authority: Authority): Promise<string> {
  const { id } = authority.x509.signer();
  await authority.x509.activate((await authority.x509.prepare()).id);
  return id;
}

async function heldKeys(keys: KeyManager, purpose: string): Promise<number> {
  const held = await Promise.all([0, 1, 2, 3].map((n) => keys.get(`${purpose}-${n}`)));
  return held.filter((key) => key !== undefined).length;
}

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
