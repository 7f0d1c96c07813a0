import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkEntry } from '../../src/spiffe/check-entry.js';
import { parseSpiffeId, type SpiffeId, trustDomainOf } from '../../src/spiffe/id.js';
import { signJwtSvid } from '../../src/spiffe/jwt-svid.js';
import { verifyJwtSvid } from '../../src/spiffe/verify-jwt-svid.js';
import { checkIssuedSvid, verifyX509Svid } from '../../src/spiffe/x509-svid.js';
import { leafSubject, selfSign, signCertificate } from '../../src/x509/certificate.js';
import { buildCsr, readCsr } from '../../src/x509/csr.js';
import { encodeName } from '../../src/x509/name.js';
import { exportSpki } from '../../src/x509/spki.js';
import { ecKey } from '../support/der-factory.js';
import { entryOf } from '../support/entries.js';

const now = 1_790_000_000;
const longIds: readonly SpiffeId[] = [
  parseSpiffeId(`spiffe://example.org/${'a'.repeat(2027)}`),
  parseSpiffeId(`spiffe://${'d'.repeat(255)}/${'a'.repeat(1783)}`),
];

for (const id of longIds) {
  const domain = trustDomainOf(id);

  test(`ID-18: an ID of 2048 bytes in a trust domain of ${domain.length} passes through request, certificate and chain`, () => {
    assert.equal(id.length, 2048);
    const key = ecKey();
    const csr = readCsr(buildCsr({ key, uris: [id] }));
    assert.deepEqual(csr.uris, [id]);
    const authority = selfSign(
      {
        kind: 'authority',
        serial: Uint8Array.of(1),
        subject: encodeName({ organization: 'Touchmark' }),
        notBefore: now,
        notAfter: now + 86_400,
        uri: `spiffe://${domain}`,
      },
      ecKey(),
    );
    const window = { notBefore: now, notAfter: now + 60 };
    const parts = {
      serial: Uint8Array.of(2),
      subject: leafSubject([]),
      dnsNames: [],
      spki: csr.spki,
      ...window,
    };
    const der = signCertificate({ kind: 'leaf', uri: id, ...parts }, authority);
    const issuer = { issuerDer: authority.subjectDer, issuerKeyId: authority.skid };
    checkIssuedSvid(der, { id, dnsNames: [], spki: csr.spki, ...window, ...issuer });
    const bundle = {
      trustDomain: domain,
      x509Authorities: [{ der: authority.certificate, tainted: false }],
      jwtAuthorities: [],
      refreshHint: 0,
      sequence: 1n,
    };
    assert.equal(verifyX509Svid([der], bundle, now).id, id);
  });

  test(`ID-18: an ID of 2048 bytes in a trust domain of ${domain.length} passes through token and entry`, () => {
    const key = ecKey();
    const token = signJwtSvid(
      { sub: id, aud: ['a'], iat: now, exp: now + 60 },
      { key, keyId: 'k', alg: 'ES256' },
    );
    const jwtAuthorities = [{ keyId: 'k', spki: exportSpki(key), expiresAt: 0, tainted: false }];
    const bundles = {
      trustDomain: domain,
      x509Authorities: [],
      jwtAuthorities,
      refreshHint: 0,
      sequence: 1n,
    };
    assert.equal(verifyJwtSvid(token, { audience: 'a', bundles, now }).id, id);
    const parentId = parseSpiffeId(`spiffe://${domain}/spire/server`);
    assert.equal(checkEntry(entryOf('e', ['unix:uid:1'], { spiffeId: id, parentId }), domain).spiffeId, id);
  });
}
