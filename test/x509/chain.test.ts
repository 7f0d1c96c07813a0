import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { test } from 'node:test';
import { hasSigned, verifyChain } from '../../src/x509/chain.js';
import { derNull, oid } from '../../src/x509/der.js';
import { extension, keyUsageBit } from '../../src/x509/extensions.js';
import { encodeName } from '../../src/x509/name.js';
import { readCertificate } from '../../src/x509/read-certificate.js';
import {
  directoryName,
  dnsName,
  ecKey,
  emailName,
  ipName,
  type Made,
  makeIntermediate,
  makeLeaf,
  makeRoot,
  nameConstraints,
  factoryNow as now,
  type Recipe,
  uriName,
} from '../support/der-factory.js';
import { throwsCode } from '../support/rejects.js';

const read = ({ der }: Made) => readCertificate(der);
const verify = (leaf: Made, presented: readonly Made[], anchors: readonly Made[], at = now) =>
  verifyChain(read(leaf), presented.map(read), anchors.map(read), { now: at });
const refuses = (message: RegExp, ...args: Parameters<typeof verify>) =>
  throwsCode('chain_untrusted', message, () => verify(...args));

const root = makeRoot();
const middle = makeIntermediate(root);
const leaf = makeLeaf(middle);

test('XS-11: a path over several intermediates is found, in whatever order they are presented', () => {
  const second = makeIntermediate(middle, { name: 'second' });
  const below = makeLeaf(second, { keyIds: true });
  for (const presented of [
    [second, middle],
    [middle, second],
  ]) {
    const path = verify(below, presented, [makeRoot({ name: 'other' }), root]);
    assert.deepEqual(
      path.map(({ der }) => der),
      [below, second, middle, root].map(({ der }) => der),
    );
  }
});

test('an intermediate that is itself in the bundle ends the path', () => {
  assert.equal(verify(leaf, [], [middle]).length, 2);
});

test('XS-23: expired and not yet valid certificates are refused at every place', () => {
  const early = { notBefore: now + 1, notAfter: now + 10 };
  const late = { notBefore: now - 10, notAfter: now - 1 };
  refuses(/^the leaf expired at 2026-/, makeLeaf(root, late), [], [root]);
  refuses(/^the leaf is not valid before 2026-/, makeLeaf(root, early), [], [root]);
  for (const [times, message] of [
    [late, /^an intermediate expired/],
    [early, /^an intermediate is not valid/],
  ] as const) {
    const bad = makeIntermediate(root, times);
    refuses(message, makeLeaf(bad), [bad], [root]);
  }
  for (const [times, message] of [
    [late, /^the authority expired/],
    [early, /^the authority is not valid/],
  ] as const) {
    const bad = makeRoot(times);
    refuses(message, makeLeaf(bad), [], [bad]);
  }
});

test('the first and the last second of a validity period are inside', () => {
  const short = makeLeaf(root, { notBefore: now, notAfter: now + 5 });
  assert.equal(verify(short, [], [root], now).length, 2);
  assert.equal(verify(short, [], [root], now + 5).length, 2);
  refuses(/expired/, short, [], [root], now + 6);
  refuses(/not valid before/, short, [], [root], now - 1);
});

test('XS-23: a broken signature, a wrong issuer name and a missing intermediate are refused', () => {
  refuses(/signature in the chain is not good/, makeLeaf(root, { signedBy: ecKey() }), [], [root]);
  const stranger = makeLeaf(root, { issuerDer: encodeName({ commonName: 'stranger' }) });
  refuses(/no authority of the bundle signed the chain/, stranger, [], [root]);
  refuses(/an intermediate is missing/, leaf, [], [root]);
  refuses(/no authority of the bundle/, leaf, [middle], []);
  const impostor = makeIntermediate(root, { signedBy: ecKey() });
  refuses(/signature in the chain/, makeLeaf(impostor), [impostor], [root]);
});

test('XS-23: an unknown critical extension is refused at every place, an uncritical one is not', () => {
  const odd = (critical: boolean): Recipe => ({ more: [extension(oid('1.2.3.4'), critical, derNull)] });
  assert.ok(verify(makeLeaf(root, odd(false)), [], [root]));
  refuses(/^the leaf has the unknown critical extension 1\.2\.3\.4/, makeLeaf(root, odd(true)), [], [root]);
  const bad = makeIntermediate(root, odd(true));
  refuses(/^an intermediate has the unknown critical extension/, makeLeaf(bad), [bad], [root]);
  const badRoot = makeRoot(odd(true));
  refuses(/^the authority has the unknown critical extension/, makeLeaf(badRoot), [], [badRoot]);
});

test('XS-07: an intermediate without cA or keyCertSign is refused', () => {
  const noCa = makeIntermediate(root, { authority: false });
  refuses(/intermediate is not marked as a certificate authority/, makeLeaf(noCa), [noCa], [root]);
  const absent = makeIntermediate(root, { authority: null });
  refuses(/intermediate is not marked/, makeLeaf(absent), [absent], [root]);
  for (const keyUsage of [keyUsageBit.crlSign, keyUsageBit.digitalSignature, null]) {
    const noSign = makeIntermediate(root, { keyUsage });
    refuses(/intermediate may not sign certificates/, makeLeaf(noSign), [noSign], [root]);
  }
});

test('XS-07: the same holds for an authority of the bundle, which may leave its key usage out', () => {
  const noCa = makeRoot({ authority: false });
  refuses(/the authority is not marked/, makeLeaf(noCa), [], [noCa]);
  const noSign = makeRoot({ keyUsage: keyUsageBit.crlSign });
  refuses(/the authority may not sign certificates/, makeLeaf(noSign), [], [noSign]);
  const silent = makeRoot({ keyUsage: null });
  assert.ok(verify(makeLeaf(silent), [], [silent]));
});

test('a workload cannot sign for others with its own leaf', () => {
  refuses(/not marked as a certificate authority/, makeLeaf(leaf), [leaf, middle], [root]);
});

test('XS-12: path lengths are honoured', () => {
  const chain = (pathLength: number | undefined, length: number) => {
    const top = makeRoot(pathLength === undefined ? {} : { pathLength });
    const presented: Made[] = [];
    for (let i = 0; i < length; i++)
      presented.push(makeIntermediate(presented.at(-1) ?? top, { name: `i${i}` }));
    return [makeLeaf(presented.at(-1) ?? top), presented, [top]] as const;
  };
  assert.equal(verify(...chain(0, 0)).length, 2);
  refuses(/allows 0 intermediates below it, there are 1/, ...chain(0, 1));
  assert.equal(verify(...chain(1, 1)).length, 3);
  refuses(/allows 1 intermediates below it, there are 2/, ...chain(1, 2));
  assert.equal(verify(...chain(undefined, 3)).length, 5);
});

test('self-issued intermediates do not count for path lengths', () => {
  const top = makeRoot({ pathLength: 0, name: 'same' });
  const rollover = makeIntermediate(top, { name: 'same' });
  assert.equal(verify(makeLeaf(rollover), [rollover], [top]).length, 3);
});

const constrained = (...args: Parameters<typeof nameConstraints>) =>
  makeRoot({ more: [nameConstraints(...args)] });

test('XS-14: URI name constraints are processed', () => {
  const permits = (host: string) => constrained({ permitted: [uriName(host)] });
  const excludes = (host: string) => constrained({ excluded: [uriName(host)] });
  for (const top of [
    permits('example.org'),
    permits('EXAMPLE.org'),
    permits('.org'),
    excludes('other.org'),
  ]) {
    assert.ok(verify(makeLeaf(top), [], [top]));
  }
  for (const top of [permits('other.org'), permits('.example.org'), permits('ample.org')]) {
    refuses(/is not permitted by a name constraint/, makeLeaf(top), [], [top]);
  }
  for (const top of [excludes('example.org'), excludes('.org'), excludes('')]) {
    refuses(/is excluded by a name constraint/, makeLeaf(top), [], [top]);
  }
  refuses(/is not a host/, ...with1(permits('spiffe://example.org')));
  const odd = permits('example.org');
  refuses(/has no host to hold against/, makeLeaf(odd, { uris: ['urn:x'] }), [], [odd]);
});

function with1(top: Made): [Made, Made[], Made[]] {
  return [makeLeaf(top), [], [top]];
}

test('XS-14: constraints reach through intermediates and also bind these', () => {
  const top = constrained({ permitted: [uriName('example.org')] });
  const foreign = makeIntermediate(top, { uris: ['spiffe://other.org'] });
  refuses(/"spiffe:\/\/other.org" is not permitted/, makeLeaf(foreign), [foreign], [top]);
  const own = makeIntermediate(top);
  refuses(/not permitted/, makeLeaf(own, { uris: ['spiffe://other.org/x'] }), [own], [top]);
  assert.ok(verify(makeLeaf(own), [own], [top]));
});

test('DNS name constraints cover a name and all below it', () => {
  const top = constrained({ permitted: [dnsName('example.org'), uriName('example.org')] });
  assert.ok(verify(makeLeaf(top, { dnsNames: ['a.example.org', 'EXAMPLE.org'] }), [], [top]));
  refuses(/"ample.org" is not permitted/, makeLeaf(top, { dnsNames: ['ample.org'] }), [], [top]);
});

test('XS-14: constraints of kinds that we cannot judge refuse names of those kinds', () => {
  const cases: Array<[Made, Recipe]> = [
    [constrained({ permitted: [ipName(10, 0, 0, 0, 255, 0, 0, 0)] }), { otherNames: [ipName(10, 0, 0, 1)] }],
    [constrained({ excluded: [emailName('example.org')] }), { otherNames: [emailName('a@b.c')] }],
    [constrained({ permitted: [directoryName(encodeName({ country: 'US' }))] }), { name: 'x' }],
  ];
  for (const [top, recipe] of cases) refuses(/cannot be judged/, makeLeaf(top, recipe), [], [top]);
  const [ip] = cases[0] ?? [];
  assert.ok(ip && verify(makeLeaf(ip), [], [ip]));
});

test('XS-14: constraints that are not well formed refuse everything', () => {
  const broken = makeRoot({ more: [extension(oid('2.5.29.30'), true, Buffer.from('3000', 'hex'))] });
  refuses(/name constraints are not well formed/, ...with1(broken));
  const many = Array.from({ length: 65 }, (_, n) => uriName(`h${n}`));
  refuses(/more than 64 name constraints/, ...with1(constrained({ permitted: many })));
  const junk = makeRoot({ more: [extension(oid('2.5.29.30'), true, Buffer.from('0400', 'hex'))] });
  refuses(/^the DER has tag 0x04 where the name constraints belongs/, ...with1(junk));
});

test('authorities with equal names are told apart by key identifiers, else by their signatures', () => {
  for (const keyIds of [true, false]) {
    const twins = [makeRoot({ keyIds }), makeRoot({ keyIds })] as const;
    const below = makeLeaf(twins[1], { keyIds });
    assert.deepEqual(verify(below, [], twins).at(-1)?.der, twins[1].der);
  }
});

test('a crafted heap of certificates with one name ends, and soon', () => {
  const heap = Array.from({ length: 15 }, () => makeIntermediate(root, { name: 'loop', signedBy: ecKey() }));
  const [first] = heap;
  assert.ok(first);
  const looped = heap.map(({ key }) =>
    makeIntermediate(first, { name: 'loop', key, issuerDer: first.subjectDer }),
  );
  const target = makeLeaf(first);
  const start = process.hrtime.bigint();
  refuses(/./, target, looped, [root]);
  assert.ok(process.hrtime.bigint() - start < 500_000_000n);
  refuses(/longer than 16 certificates/, target, [...looped, root], [root]);
});

test('what strangers write into name constraints and names is not worked through', () => {
  const subtrees = (suffix: string) => Array.from({ length: 64 }, (_, n) => dnsName(`c${n}.${suffix}`));
  const names = Array.from({ length: 1000 }, (_, n) => `host-${n}.example.org`);
  const limits = nameConstraints({
    permitted: [...subtrees('x').slice(1), dnsName('org')],
    excluded: subtrees('y'),
  });
  const keys = Array.from({ length: 7 }, () => ecKey());
  const heap = keys.flatMap((key, at) =>
    ['a', 'b'].map((name) => {
      const issuer = {
        ...makeRoot({ name: name === 'a' ? 'b' : 'a' }),
        key: keys[(at + 1) % keys.length] ?? key,
      };
      return makeIntermediate(issuer, { name, key, dnsNames: names, more: [limits] });
    }),
  );
  const [first] = heap;
  assert.ok(first);
  const target = makeLeaf(first, { dnsNames: names });
  const start = process.hrtime.bigint();
  refuses(/./, target, heap, [root]);
  assert.ok(process.hrtime.bigint() - start < 500_000_000n);
});

test('a key that anybody can sign with, or that takes long to check with, is none of an authority', () => {
  const modulus = Buffer.alloc(384, 0xff);
  const rsa = (e: Buffer) =>
    createPublicKey({
      key: { kty: 'RSA', n: modulus.toString('base64url'), e: e.toString('base64url') },
      format: 'jwk',
    });
  const cases: Array<[KeyObject, RegExp]> = [
    [rsa(Buffer.of(1)), /RSA key of an authority has an unusable exponent/],
    [rsa(Buffer.alloc(383, 0x7f)), /RSA key of an authority has an unusable exponent/],
    [generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey, /on an unusual curve/],
    [generateKeyPairSync('ec', { namedCurve: 'sect571r1' }).publicKey, /on an unusual curve/],
  ];
  for (const [key, message] of cases) {
    const odd = makeIntermediate(root, { spki: key.export({ format: 'der', type: 'spki' }) });
    refuses(message, makeLeaf(odd), [odd], [root]);
    refuses(message, makeLeaf(odd), [], [odd]);
  }
});

test('signatures under other algorithms than the list are not believed', () => {
  const good = read(leaf);
  assert.ok(hasSigned(read(middle), good));
  const sha1 = Buffer.from('300906072a8648ce3d0401', 'hex');
  assert.equal(hasSigned(read(middle), { ...good, signatureAlgorithm: sha1 }), false);
  const rsa = Buffer.from('300d06092a864886f70d01010b0500', 'hex');
  assert.equal(hasSigned(read(middle), { ...good, signatureAlgorithm: rsa }), false);
});
