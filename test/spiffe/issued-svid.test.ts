import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeSpiffeId, parseTrustDomain } from '../../src/spiffe/id.js';
import { checkIssuedSvid, type IssuedSvid } from '../../src/spiffe/x509-svid.js';
import { leafSubject, selfSign, signCertificate } from '../../src/x509/certificate.js';
import { emptyName, encodeName } from '../../src/x509/name.js';
import { exportSpki } from '../../src/x509/spki.js';
import { ecKey, makeLeaf, makeRoot } from '../support/der-factory.js';
import { throwsCode } from '../support/rejects.js';

const now = 1_790_000_000;
const domain = parseTrustDomain('example.org');
const authority = selfSign(
  {
    kind: 'authority',
    serial: Uint8Array.of(1),
    subject: encodeName({ organization: 'Touchmark' }),
    notBefore: now,
    notAfter: now + 86_400,
    uri: 'spiffe://example.org',
  },
  ecKey(),
);
const meant: IssuedSvid = {
  id: makeSpiffeId(domain, '/web'),
  dnsNames: ['a.example', 'b.example'],
  spki: exportSpki(ecKey()),
  notBefore: now - 10,
  notAfter: now + 3600,
  issuerDer: authority.subjectDer,
  issuerKeyId: authority.skid,
};

function issue(changes: Partial<IssuedSvid> = {}, subject: Uint8Array = leafSubject([])): Buffer {
  const { id, dnsNames, spki, notBefore, notAfter } = { ...meant, ...changes };
  const serial = Uint8Array.of(9);
  return signCertificate(
    { kind: 'leaf', serial, subject, uri: id, dnsNames, spki, notBefore, notAfter },
    authority,
  );
}

test('what was meant passes and is given back', () => {
  assert.deepEqual(checkIssuedSvid(issue(), meant).uris, ['spiffe://example.org/web']);
  assert.equal(checkIssuedSvid(issue({}, emptyName), meant).altNamesCritical, true);
});

test('every difference between what was meant and what was signed is named', () => {
  const cases: Array<[RegExp, Uint8Array, Partial<IssuedSvid>]> = [
    [/differs in its SPIFFE ID/, issue({ id: makeSpiffeId(domain, '/other') }), {}],
    [/differs in its DNS names/, issue({ dnsNames: [] }), {}],
    [/differs in its DNS names/, issue({ dnsNames: ['a.example,b.example'] }), {}],
    [/differs in its public key/, issue({ spki: exportSpki(ecKey()) }), {}],
    [/differs in its begin/, issue({ notBefore: now }), {}],
    [/differs in its end/, issue({ notAfter: now + 3601 }), {}],
    [/differs in its issuer$/, issue(), { issuerDer: emptyName }],
    [/differs in its issuer key/, issue(), { issuerKeyId: new Uint8Array(20) }],
  ];
  for (const [message, der, changes] of cases) {
    throwsCode(
      'x509_svid_invalid',
      message,
      () => checkIssuedSvid(der, { ...meant, ...changes }),
      String(message),
    );
  }
});

test('a certificate that an SVID may not be is never given out', () => {
  const root = makeRoot();
  const caMeant = (leaf: { der: Uint8Array }) => () => checkIssuedSvid(leaf.der, meant);
  throwsCode('x509_svid_invalid', /no path/, caMeant(makeLeaf(root, { uris: ['spiffe://example.org'] })));
  throwsCode('x509_svid_invalid', /certificate authority/, caMeant(makeLeaf(root, { authority: true })));
  throwsCode('x509_svid_invalid', /no key usage/, caMeant(makeLeaf(root, { keyUsage: null })));
});
