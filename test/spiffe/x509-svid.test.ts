import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TouchmarkError } from '../../src/errors.js';
import { type Bundle, emptyBundle } from '../../src/spiffe/bundle.js';
import { parseTrustDomain, type TrustDomain } from '../../src/spiffe/id.js';
import { parseX509Svid, verifyX509Svid } from '../../src/spiffe/x509-svid.js';
import { derNull, oid, sequence } from '../../src/x509/der.js';
import { keyUsageBit as bit, extension } from '../../src/x509/extensions.js';
import { emptyName } from '../../src/x509/name.js';
import {
  clientAuth,
  dnsName,
  emailName,
  ipName,
  type Made,
  makeIntermediate,
  makeLeaf,
  makeRoot,
  factoryNow as now,
  type Recipe,
  serverAuth,
  uriName,
} from '../support/der-factory.js';
import { badSpiffeIds } from '../support/ids.js';
import { throwsCode } from '../support/rejects.js';

const domain = parseTrustDomain('example.org');
const root = makeRoot();
const bundleOf = (trustDomain: TrustDomain, ...authorities: Made[]): Bundle => ({
  ...emptyBundle(trustDomain),
  x509Authorities: authorities.map(({ der }) => ({ der, tainted: false })),
});
const bundle = bundleOf(domain, root);
const verify = (...chain: Made[]) =>
  verifyX509Svid(
    chain.map(({ der }) => der),
    bundle,
    now,
  );
const accepts = (recipe: Recipe) =>
  assert.equal(verify(makeLeaf(root, recipe)).id, 'spiffe://example.org/web');
const refuses = (message: RegExp, recipe: Recipe) =>
  throwsCode('x509_svid_invalid', message, () => verify(makeLeaf(root, recipe)), JSON.stringify(recipe));

const web = 'spiffe://example.org/web';
const otherUri = 'https://example.org/';
const altNames = (...names: Uint8Array[]) => extension(oid('2.5.29.17'), false, sequence(...names));

test('a good SVID is read as a list and as concatenated DER', () => {
  const middle = makeIntermediate(root);
  const leaf = makeLeaf(middle);
  const svid = verifyX509Svid(Buffer.concat([leaf.der, middle.der]), bundle, now);
  assert.equal(svid.id, web);
  assert.deepEqual(svid.leaf.der, leaf.der);
  assert.equal(svid.chain.length, 2);
  assert.equal(verify(leaf, middle).id, web);
});

test('XS-01: there is exactly one URI', () => {
  refuses(/has no URI/, { uris: [] });
  refuses(/has no URI/, { uris: [], dnsNames: ['a.example'] });
  refuses(/has 2 URIs instead of one/, { uris: [web, 'spiffe://example.org/b'] });
  refuses(/has 2 URIs instead of one/, { uris: [web, otherUri] });
  refuses(/has 2 URIs instead of one/, { uris: [otherUri, web] });
  refuses(/has 2 URIs instead of one/, { uris: [web, web] });
  throwsCode('certificate_invalid', /2\.5\.29\.17 comes twice/, () =>
    verify(makeLeaf(root, { more: [altNames(uriName(web))] })),
  );
});

test('XS-02: other names may stand beside it', () => {
  const otherNames = [ipName(10, 0, 0, 1), emailName('a@b.c'), dnsName('c.example')];
  accepts({ dnsNames: ['a.example', 'b.example'], otherNames });
});

test('XS-03: the URI is a SPIFFE ID; every bad ID is refused', () => {
  for (const uri of badSpiffeIds) {
    const task = () => verify(makeLeaf(root, { altNames: null, more: [altNames(uriName(uri))] }));
    throwsCode('x509_svid_invalid', /^the leaf's URI ".*is no SPIFFE ID$/s, task, uri);
  }
});

test('XS-04: the ID of a leaf has a path', () => {
  refuses(/SPIFFE ID spiffe:\/\/example.org has no path/, { uris: ['spiffe://example.org'] });
  refuses(/is no SPIFFE ID/, { uris: ['spiffe://example.org/'] });
});

test('XS-05: an empty subject is accepted, as the name may be critical', () => {
  accepts({ subjectDer: emptyName, altNamesCritical: true });
});

test('XS-06: a signing certificate does not identify a peer', () => {
  throwsCode('x509_svid_invalid', /has no path/, () => verify(root));
  const caWithPath = makeIntermediate(root, { uris: [web] });
  throwsCode('x509_svid_invalid', /marked as a certificate authority/, () => verify(caWithPath));
});

test('XS-07, XS-25, WX-14: an intermediate that may not sign is refused even when it is not needed', () => {
  const leaf = makeLeaf(root);
  throwsCode('x509_svid_invalid', /intermediate is not marked/, () => verify(leaf, makeLeaf(root)));
  const mute = makeIntermediate(root, { keyUsage: bit.crlSign });
  throwsCode('x509_svid_invalid', /intermediate may not sign/, () => verify(leaf, mute));
});

test('XS-08, XS-09, D-2: the authority of a bundle may have no URI, or one with a slash', () => {
  for (const uris of [[], ['spiffe://example.org/'], ['spiffe://example.org/ca'], [otherUri]]) {
    const top = makeRoot({ uris });
    assert.equal(verifyX509Svid([makeLeaf(top).der], bundleOf(domain, top), now).id, web);
  }
});

test('XS-13: a leaf is no authority; leaving basic constraints out is accepted', () => {
  refuses(/marked as a certificate authority/, { authority: true });
  accepts({ authority: null });
});

test('XS-15, D-3: key usage must be there, and is accepted when it is not critical', () => {
  refuses(/has no key usage/, { keyUsage: null });
  accepts({ keyUsageCritical: false });
});

test('XS-16, XS-17: a leaf signs, and may also encipher and agree', () => {
  refuses(/may not sign \(key usage\)/, { keyUsage: bit.keyAgreement });
  for (const more of [0, bit.keyEncipherment, bit.keyAgreement, bit.keyEncipherment | bit.keyAgreement]) {
    accepts({ keyUsage: bit.digitalSignature | more });
  }
});

test('XS-18: a leaf signs neither certificates nor revocation lists', () => {
  refuses(/may sign certificates/, { keyUsage: bit.digitalSignature | bit.keyCertSign });
  refuses(/may sign revocation lists/, { keyUsage: bit.digitalSignature | bit.crlSign });
  refuses(/may sign certificates/, { keyUsage: bit.digitalSignature | bit.crlSign | bit.keyCertSign });
});

test('XS-20, XS-21: extended key usage holds both purposes or is absent', () => {
  refuses(/both sides of TLS/, { purposes: [serverAuth] });
  refuses(/both sides of TLS/, { purposes: [clientAuth] });
  refuses(/both sides of TLS/, { purposes: ['2.5.29.37.0'] });
  accepts({ purposes: null });
  accepts({ purposes: [clientAuth, '1.2.3', serverAuth] });
});

test('XS-22: an intermediate may have extended key usage', () => {
  const middle = makeIntermediate(root, { purposes: [serverAuth, clientAuth] });
  assert.equal(verify(makeLeaf(middle), middle).id, web);
});

test('SV-03, XS-23: the chain is validated at the time that is given', () => {
  const leaf = makeLeaf(root);
  throwsCode('chain_untrusted', /expired/, () => verifyX509Svid([leaf.der], bundle, now + 86_400));
  throwsCode('chain_untrusted', /intermediate is missing/, () => verify(makeLeaf(makeIntermediate(root))));
});

test('SV-06, XS-24, FE-10, WA-13: only the bundle of the own trust domain is used', () => {
  const [a, b] = [parseTrustDomain('a'), parseTrustDomain('b')];
  const [rootA, rootB] = [makeRoot({ name: 'a' }), makeRoot({ name: 'b' })];
  const bundles = new Map([a, b].map((name) => [name, bundleOf(name, name === a ? rootA : rootB)]));
  const find = (name: TrustDomain) => bundles.get(name);
  const leafOfA = makeLeaf(rootA, { uris: ['spiffe://a/x'] });
  assert.equal(verifyX509Svid([leafOfA.der], find, now).id, 'spiffe://a/x');
  const forged = makeLeaf(rootB, { uris: ['spiffe://a/x'] });
  throwsCode('chain_untrusted', /no authority of the bundle/, () => verifyX509Svid([forged.der], find, now));
  const other = makeLeaf(rootA, { uris: ['spiffe://c/x'] });
  throwsCode('bundle_missing', /no bundle for trust domain "c"/, () =>
    verifyX509Svid([other.der], find, now),
  );
  const single = bundleOf(b, rootA);
  throwsCode('bundle_missing', /no bundle for trust domain "a"/, () =>
    verifyX509Svid([leafOfA.der], single, now),
  );
  const wrong = () => bundleOf(b, rootA);
  throwsCode('bundle_missing', /"a"/, () => verifyX509Svid([leafOfA.der], wrong, now));
});

test('XS-33, TB-13: an empty bundle verifies nothing', () => {
  throwsCode('chain_untrusted', /no authority/, () =>
    verifyX509Svid([makeLeaf(root).der], emptyBundle(domain), now),
  );
});

test('XS-34: leaves of every authority of the bundle are accepted', () => {
  const second = makeRoot({ name: 'second' });
  const both = bundleOf(domain, root, second);
  for (const top of [root, second]) assert.equal(verifyX509Svid([makeLeaf(top).der], both, now).id, web);
});

test('SV-05: what is no X.509 certificate is refused', () => {
  const ssh = Buffer.from('ssh-ed25519-cert-v01@openssh.com AAAA');
  throwsCode('der_invalid', /where a certificate belongs/, () => verifyX509Svid(ssh, bundle, now));
  throwsCode('der_invalid', /where the signed part belongs/, () =>
    verifyX509Svid([sequence(derNull)], bundle, now),
  );
  throwsCode('x509_svid_invalid', /there is no certificate/, () => parseX509Svid(new Uint8Array()));
  throwsCode('x509_svid_invalid', /there is no certificate/, () => parseX509Svid([]));
});

test('section 15: a leaf with bytes after it, and a chain of more than 16, are refused', () => {
  const { der } = makeLeaf(root);
  const tail = Buffer.concat([der, Buffer.from([0])]);
  throwsCode('der_invalid', /where a certificate belongs/, () => verifyX509Svid(tail, bundle, now));
  throwsCode('der_invalid', /after the end of the certificate/, () => verifyX509Svid([tail], bundle, now));
  const two = Buffer.concat([der, der]);
  throwsCode('der_invalid', /after the end of the certificate/, () => verifyX509Svid([two], bundle, now));
  const many = Array.from({ length: 17 }, () => der);
  throwsCode('x509_svid_invalid', /longer than 16/, () => verifyX509Svid(many, bundle, now));
  throwsCode('der_invalid', /more than 16/, () => verifyX509Svid(Buffer.concat(many), bundle, now));
});

test('SV-04: no flipped byte of a leaf is accepted as another identity', () => {
  const { der } = makeLeaf(root, { dnsNames: ['a.example'] });
  for (let at = 0; at < der.length; at++) {
    for (const mask of [1, 0x20, 0x80]) {
      const bad = Buffer.from(der);
      bad[at] = (bad[at] ?? 0) ^ mask;
      assert.throws(() => verifyX509Svid([bad], bundle, now), TouchmarkError, `byte ${at} ^ ${mask}`);
    }
  }
});
