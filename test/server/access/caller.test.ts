import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TouchmarkError } from '../../../src/errors.js';
import {
  createPeerVerifier,
  isAgentId,
  type PeerSvid,
  svidRole,
  unixRole,
} from '../../../src/server/access/caller.js';
import type { Authority, AuthorityState } from '../../../src/server/contract.js';
import type { AuthorityRecord } from '../../../src/server/model.js';
import type { Bundle } from '../../../src/spiffe/bundle.js';
import { parseSpiffeId, parseTrustDomain } from '../../../src/spiffe/id.js';
import { readCertificate } from '../../../src/x509/read-certificate.js';
import { manualClock } from '../../fakes/manual-clock.js';
import { factoryNow, type Made, makeIntermediate, makeLeaf, makeRoot } from '../../support/der-factory.js';

const trustDomain = parseTrustDomain('example.org');
const AGENT = 'spiffe://example.org/spire/agent/x/1';

/** What of an authority the verifier looks at, changed by the tests at will. */
function authorityOf(...roots: Made[]) {
  const publish = (list: readonly Made[], tainted: readonly Made[] = []): Bundle => ({
    trustDomain,
    x509Authorities: list.map((one) => ({ der: one.der, tainted: tainted.includes(one) })),
    jwtAuthorities: [],
    refreshHint: 0,
    sequence: 1n,
  });
  const fake = { bundle: publish(roots), state: {} as AuthorityState, publish };
  const authority = { bundle: () => fake.bundle, x509: { state: () => fake.state } } as unknown as Authority;
  return { fake, authority };
}

function peerOf(...chain: Made[]) {
  return { address: '10.0.0.1', chain: chain.map(({ der }) => der) };
}

function verified(outcome: PeerSvid | TouchmarkError): PeerSvid {
  assert.ok(!(outcome instanceof TouchmarkError), String(outcome));
  return outcome;
}

function failed(outcome: PeerSvid | TouchmarkError): TouchmarkError {
  assert.ok(outcome instanceof TouchmarkError, JSON.stringify(outcome));
  return outcome;
}

test('an SVID under a published authority is believed, with its serial and end', () => {
  const root = makeRoot();
  const leaf = makeLeaf(root, { uris: [AGENT] });
  const verify = createPeerVerifier(authorityOf(root).authority, manualClock(factoryNow * 1000), () => false);
  const svid = verified(verify(peerOf(leaf)));
  const read = readCertificate(leaf.der);
  assert.deepEqual(
    [svid.id, svid.serial, svid.expiresAt, svid.tainted],
    [AGENT, read.serial, read.notAfter, false],
  );
});

test('a chain that ends elsewhere, or names another domain, or is no SVID, is not believed', () => {
  const root = makeRoot();
  const verify = createPeerVerifier(authorityOf(root).authority, manualClock(factoryNow * 1000), () => false);
  const rogue = makeRoot();
  assert.equal(failed(verify(peerOf(makeLeaf(rogue, { uris: [AGENT] })))).code, 'chain_untrusted');
  assert.equal(
    failed(verify(peerOf(makeLeaf(root, { uris: ['spiffe://other.org/x'] })))).code,
    'bundle_missing',
  );
  assert.equal(failed(verify(peerOf(makeLeaf(root, { uris: [] })))).code, 'x509_svid_invalid');
  assert.equal(failed(verify({ address: '', chain: [Buffer.from('junk')] })).code, 'der_invalid');
});

test('the end of an SVID is looked at at every call, and an agent is told so', () => {
  const root = makeRoot({ notAfter: factoryNow + 100_000 });
  const clock = manualClock(factoryNow * 1000);
  const verify = createPeerVerifier(authorityOf(root).authority, clock, () => false);
  const peer = peerOf(makeLeaf(root, { uris: [AGENT], notAfter: factoryNow + 60 }));
  verified(verify(peer));
  clock.advance(60_000);
  verified(verify(peer));
  clock.advance(1000);
  assert.equal(failed(verify(peer)).code, 'agent_expired');
  const late = peerOf(makeLeaf(root, { uris: ['spiffe://example.org/w'], notAfter: factoryNow + 10 }));
  assert.equal(failed(verify(late)).code, 'chain_untrusted');
});

test('whether an SVID was withdrawn is asked at every call, by its serial number', () => {
  const root = makeRoot();
  const withdrawn = new Set<string>();
  const clock = manualClock(factoryNow * 1000);
  const verify = createPeerVerifier(authorityOf(root).authority, clock, (serial) => withdrawn.has(serial));
  const leaf = makeLeaf(root, { uris: [AGENT] });
  const peer = peerOf(leaf);
  assert.equal(verified(verify(peer)).withdrawn, false);
  withdrawn.add(readCertificate(leaf.der).serial);
  assert.equal(verified(verify(peer)).withdrawn, true);
});

test('an authority that leaves the bundle takes its connections with it', () => {
  const [first, second] = [makeRoot(), makeRoot()];
  const { fake, authority } = authorityOf(first, second);
  const verify = createPeerVerifier(authority, manualClock(factoryNow * 1000), () => false);
  const peer = peerOf(makeLeaf(first, { uris: [AGENT] }));
  verified(verify(peer));
  fake.bundle = fake.publish([second]);
  assert.equal(failed(verify(peer)).code, 'chain_untrusted');
});

test('a tainted root, and a tainted authority of ours below a root that is not, are both seen', () => {
  const root = makeRoot();
  const { fake, authority } = authorityOf(root);
  const verify = createPeerVerifier(authority, manualClock(factoryNow * 1000), () => false);
  const intermediate = makeIntermediate(root);
  const peer = peerOf(makeLeaf(intermediate, { uris: [AGENT] }), intermediate);
  assert.equal(verified(verify(peer)).tainted, false);
  const id = Buffer.from(readCertificate(intermediate.der).subjectKeyId ?? []).toString('hex');
  fake.state = { old: { id, tainted: true } as AuthorityRecord };
  assert.equal(verified(verify(peer)).tainted, true);
  fake.state = {};
  fake.bundle = fake.publish([root], [root]);
  assert.equal(verified(verify(peer)).tainted, true);
});

test('an agent is known by its path', () => {
  assert.equal(isAgentId(parseSpiffeId(AGENT)), true);
  assert.equal(isAgentId(parseSpiffeId('spiffe://example.org/spire/agents/x')), false);
  assert.equal(isAgentId(parseSpiffeId('spiffe://example.org/x/spire/agent/y')), false);
});

test('root and the own uid administer; others have the role that they were given, or none', () => {
  const administrators = [
    { uid: 1000, role: 'viewer' },
    { spiffeId: 'spiffe://example.org/op', role: 'approver' },
  ] as const;
  assert.equal(unixRole(0, 500, administrators), 'admin');
  assert.equal(unixRole(500, 500, administrators), 'admin');
  assert.equal(unixRole(1000, 500, administrators), 'viewer');
  assert.equal(unixRole(1001, 500, administrators), undefined);
  assert.equal(svidRole(parseSpiffeId('spiffe://example.org/op'), administrators), 'approver');
  assert.equal(svidRole(parseSpiffeId('spiffe://example.org/op2'), administrators), undefined);
});
