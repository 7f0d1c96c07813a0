import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import test from 'node:test';
import { checkReceivedJwt } from '../../../src/agent/identities/received-jwt.js';
import { authorityStanding, checkReceivedSvid } from '../../../src/agent/identities/received-svid.js';
import { parseSpiffeId } from '../../../src/spiffe/id.js';
import { exportSpki } from '../../../src/x509/spki.js';
import { manualClock } from '../../fakes/manual-clock.js';
import { signingAuthority } from '../../fakes/signing-authority.js';
import { throwsCode } from '../../support/rejects.js';

const clock = manualClock();
const now = clock.now() / 1000;
const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
const id = parseSpiffeId('spiffe://example.org/web');

test('an SVID for our key that chains to the bundle is taken, as bytes of our own', () => {
  const authority = signingAuthority(clock);
  const chain = authority.x509For(exportSpki(key), id, 60);
  const svid = checkReceivedSvid(chain, key, authority.bundle(), now);
  assert.deepEqual([svid.id, svid.expiresAt, svid.notBefore], [id, now + 60, now - 10]);
  chain[0]?.fill(0);
  assert.notEqual(svid.chain[0]?.[0], 0, 'what was verified does not change with the message');
  assert.equal(authorityStanding(authority.bundle(), svid.authority), 'trusted');
});

test('an SVID is refused for another key, another domain, a stranger’s signature, or a time that is over', () => {
  const authority = signingAuthority(clock);
  const bundle = authority.bundle();
  const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  const chain = authority.x509For(exportSpki(key), id, 60);
  throwsCode(
    'server_answer_invalid',
    /^the server sent an SVID for spiffe:\/\/example.org\/web that carries another key than the one asked for$/,
    () => checkReceivedSvid(chain, other, bundle, now),
  );
  throwsCode(
    'server_answer_invalid',
    /^the server sent an SVID of another trust domain, spiffe:\/\/example.org.evil\/web$/,
    () =>
      checkReceivedSvid(
        authority.x509For(exportSpki(key), 'spiffe://example.org.evil/web', 60),
        key,
        bundle,
        now,
      ),
  );
  const stranger = signingAuthority(clock).x509For(exportSpki(key), id, 60);
  throwsCode('chain_untrusted', /no authority of the bundle signed the chain/, () =>
    checkReceivedSvid(stranger, key, bundle, now),
  );
  throwsCode('chain_untrusted', /expired/, () => checkReceivedSvid(chain, key, bundle, now + 61));
  throwsCode('x509_svid_invalid', /there is no certificate/, () => checkReceivedSvid([], key, bundle, now));
});

test('an authority is known by its key: trusted, tainted or removed', () => {
  const authority = signingAuthority(clock);
  const { authority: name } = checkReceivedSvid(
    authority.x509For(exportSpki(key), id, 60),
    key,
    authority.bundle(),
    now,
  );
  authority.rotate();
  assert.equal(authorityStanding(authority.bundle(), name), 'trusted');
  authority.taintOld();
  assert.equal(authorityStanding(authority.bundle(), name), 'tainted');
  const tainted = authority.bundle();
  const [, old] = tainted.x509Authorities;
  assert.ok(old !== undefined);
  const twice = { ...tainted, x509Authorities: [...tainted.x509Authorities, { ...old, tainted: false }] };
  assert.equal(authorityStanding(twice, name), 'tainted', 'published twice, tainted once');
  authority.removeOld();
  assert.equal(authorityStanding(authority.bundle(), name), 'removed');
});

test('a token tells its own end and the key that signed it', () => {
  const authority = signingAuthority(clock);
  const bundle = authority.bundle();
  const token = authority.jwt(id, ['x', 'y'], 300);
  const received = checkReceivedJwt(token, { id, audience: ['x'], bundle, now });
  assert.deepEqual(received, { token, keyId: bundle.jwtAuthorities[0]?.keyId, expiresAt: now + 300 });
});

test('a token is refused for another subject, a missing audience, an end that has come, or a key that is tainted', () => {
  const authority = signingAuthority(clock);
  const bundle = authority.bundle();
  const token = authority.jwt(id, ['x'], 300);
  const expected = { id, audience: ['x'], bundle, now };
  const other = parseSpiffeId('spiffe://example.org/other');
  const code = 'server_answer_invalid';
  throwsCode(code, /^the server sent a token for .*\/web instead of .*\/other$/, () =>
    checkReceivedJwt(token, { ...expected, id: other }),
  );
  throwsCode(code, /^the server sent a token without audience "y"$/, () =>
    checkReceivedJwt(token, { ...expected, audience: ['x', 'y'] }),
  );
  throwsCode(code, /^the server sent a token that has expired$/, () =>
    checkReceivedJwt(token, { ...expected, now: now + 300 }),
  );
  authority.rotate();
  authority.taintOld();
  throwsCode(code, /^the server sent a token signed by the tainted key [0-9a-f]{16}$/, () =>
    checkReceivedJwt(token, { ...expected, bundle: authority.bundle() }),
  );
});

test('a token whose signature is not that of the published key is refused', () => {
  const authority = signingAuthority(clock);
  const bundle = authority.bundle();
  const token = authority.jwt(id, ['x'], 300);
  const forged = `${token.slice(0, -4)}${token.endsWith('AAAA') ? 'BBBB' : 'AAAA'}`;
  throwsCode('jwt_svid_invalid', /signature/, () =>
    checkReceivedJwt(forged, { id, audience: ['x'], bundle, now }),
  );
  throwsCode('jwt_svid_invalid', /parts instead of three/, () =>
    checkReceivedJwt('x', { id, audience: ['x'], bundle, now }),
  );
});
