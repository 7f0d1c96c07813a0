import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toBinary } from '@bufbuild/protobuf';
import type { Bundle } from '../../../src/spiffe/bundle.js';
import { makeSpiffeId, parseTrustDomain, type TrustDomain } from '../../../src/spiffe/id.js';
import {
  X509BundlesResponseSchema,
  X509SVIDResponseSchema,
} from '../../../src/wire/gen/spiffe/workload_pb.js';
import { MOST_CRL_BYTES } from '../../../src/x509/crl-bounds.js';
import { entryDomain, entryOf } from '../../support/entries.js';
import { header, mine, reader, serveForTest } from './support.js';

const MIB = 1024 * 1024;
const domains = Array.from({ length: 210 }, (_, at) => parseTrustDomain(`d${at}.test`));

/** A foreign bundle of a given size; nobody here reads what is in it. */
function foreign(trustDomain: TrustDomain, bytes: number): Bundle {
  const x509Authorities = [{ der: new Uint8Array(bytes).fill(0x30), tainted: false }];
  return { trustDomain, x509Authorities, jwtAuthorities: [], refreshHint: 0, sequence: 1n };
}

async function crowded(t: Parameters<typeof serveForTest>[0], bytes: number, crls: Uint8Array[] = []) {
  const served = await serveForTest(t);
  served.store.serve();
  const own = served.store.authority.bundle();
  served.store.setBundles({
    own,
    federated: new Map(domains.map((name) => [name, foreign(name, bytes)])),
    crls,
  });
  for (let at = 0; at < 120; at++) {
    const spiffeId = makeSpiffeId(entryDomain, `/w/${at}`);
    const federatesWith = at === 0 ? domains : [];
    served.store.put(entryOf(String(at).padStart(3, '0'), [mine], { spiffeId, federatesWith }));
  }
  return served;
}

test('DF-06 a message holds at most 100 identities, the default first, and 200 bundles', async (t) => {
  const { api } = await crowded(t, 1000);
  const message = await reader(api.fetchX509SVID({}, header)).next();
  assert.equal(message.svids.length, 100);
  assert.equal(message.svids[0]?.spiffeId, 'spiffe://example.org/w/0');
  assert.equal(Object.keys(message.federatedBundles).length, 199);
  const bundles = await reader(api.fetchX509Bundles({}, header)).next();
  assert.equal(Object.keys(bundles.bundles).length, 200);
  assert.ok(bundles.bundles['spiffe://example.org']);
});

test('DF-05 a message stays below 4 MiB whatever the bundles hold', async (t) => {
  const { api } = await crowded(t, 100_000);
  const message = await reader(api.fetchX509SVID({}, header)).next();
  assert.ok(toBinary(X509SVIDResponseSchema, message).length < 4 * MIB);
  assert.equal(message.svids.length, 100);
  assert.ok(Object.keys(message.federatedBundles).length > 10);
  const bundles = await reader(api.fetchX509Bundles({}, header)).next();
  assert.ok(toBinary(X509BundlesResponseSchema, bundles).length < 4 * MIB);
  assert.ok(bundles.bundles['spiffe://example.org']);
});

test('DF-05 the longest lists of what is withdrawn travel beside every identity, and bundles take what is left', async (t) => {
  const crls = [new Uint8Array(MOST_CRL_BYTES - 1000), new Uint8Array(900)];
  const { api } = await crowded(t, 100_000, crls);
  const message = await reader(api.fetchX509SVID({}, header)).next();
  assert.ok(toBinary(X509SVIDResponseSchema, message).length < 4 * MIB);
  assert.deepEqual([message.svids.length, message.crl.length], [100, 2]);
  assert.ok(Object.keys(message.federatedBundles).length > 0);
  const bundles = await reader(api.fetchX509Bundles({}, header)).next();
  assert.ok(toBinary(X509BundlesResponseSchema, bundles).length < 4 * MIB);
  assert.equal(bundles.crl.length, 2);
  assert.ok(bundles.bundles['spiffe://example.org']);
});
