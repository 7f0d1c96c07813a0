import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import type { Bundle } from '../../src/spiffe/bundle.js';
import { canonicalSelectors, type Entry } from '../../src/spiffe/entry.js';
import { makeSpiffeId, parseTrustDomain } from '../../src/spiffe/id.js';
import { bundleFromWire, bundleToWire } from '../../src/wire/bundle.js';
import { entryFromWire, entryToWire } from '../../src/wire/entry.js';
import {
  BundleMaskSchema,
  BundleSchema,
  EntryMaskSchema,
  EntrySchema,
  FederationRelationshipMaskSchema,
  FederationRelationshipSchema,
  SPIFFEIDSchema,
} from '../../src/wire/gen/spire/types_pb.js';
import { spiffeIdFromWire, spiffeIdToWire, trustDomainFromWire } from '../../src/wire/id.js';
import { applyMask, masked } from '../../src/wire/mask.js';
import { selectorsFromWire } from '../../src/wire/selector.js';
import { throwsCode } from '../support/rejects.js';

const segment = fc.stringMatching(/^[A-Za-z0-9_-]{1,12}$/);
const domain = fc.stringMatching(/^[a-z0-9._-]{1,20}$/).map(parseTrustDomain);
const spiffeId = fc
  .tuple(domain, fc.array(segment, { maxLength: 4 }))
  .map(([name, path]) => makeSpiffeId(name, path.map((one) => `/${one}`).join('')));
const selector = fc.record({ type: segment, value: fc.string({ minLength: 1, maxLength: 20 }) });
const seconds = fc.nat(2 ** 31);

const entry: fc.Arbitrary<Entry> = fc.record({
  id: segment,
  spiffeId,
  parentId: spiffeId,
  selectors: fc.array(selector, { maxLength: 5 }).map(canonicalSelectors),
  x509SvidTtl: fc.nat(2 ** 31 - 1),
  jwtSvidTtl: fc.nat(2 ** 31 - 1),
  federatesWith: fc.array(domain, { maxLength: 3 }),
  admin: fc.boolean(),
  downstream: fc.boolean(),
  expiresAt: seconds,
  dnsNames: fc.array(segment, { maxLength: 3 }),
  revisionNumber: seconds,
  storeSvid: fc.boolean(),
  hint: segment,
  createdAt: seconds,
  disableX509SvidPrefetch: fc.boolean(),
  jwtSvidIncludeJti: fc.boolean(),
});

const bytes = fc.uint8Array({ minLength: 1, maxLength: 40 });
const bundle: fc.Arbitrary<Bundle> = fc.record({
  trustDomain: domain,
  x509Authorities: fc.array(fc.record({ der: bytes, tainted: fc.boolean() }), { maxLength: 3 }),
  jwtAuthorities: fc.array(
    fc.record({ keyId: segment, spki: bytes, expiresAt: seconds, tainted: fc.boolean() }),
    { maxLength: 3 },
  ),
  refreshHint: seconds,
  sequence: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
});

/** The generated record types have no prototype in fast-check; compare what they hold. */
const same = (a: unknown, b: unknown) => assert.deepEqual(structuredClone(a), structuredClone(b));

test('every entry survives the wire', () => {
  fc.assert(
    fc.property(entry, (one) => {
      const received = fromBinary(EntrySchema, toBinary(EntrySchema, entryToWire(one)));
      same(entryFromWire(received), one);
    }),
  );
});

test('every bundle survives the wire, with sequence numbers up to 2^64', () => {
  fc.assert(
    fc.property(bundle, (one) => {
      const received = fromBinary(BundleSchema, toBinary(BundleSchema, bundleToWire(one)));
      same(bundleFromWire(received), one);
    }),
  );
});

test('bytes of a converted bundle are copies', () => {
  const wire = create(BundleSchema, {
    trustDomain: 'a.example',
    x509Authorities: [{ asn1: Uint8Array.of(1, 2) }],
  });
  const read = bundleFromWire(wire);
  wire.x509Authorities[0]?.asn1.fill(9);
  assert.deepEqual(read.x509Authorities[0]?.der, Uint8Array.of(1, 2));
});

test('a SPIFFE ID is read strictly and its field is named', () => {
  const id = makeSpiffeId(parseTrustDomain('example.org'), '/a/b');
  assert.equal(spiffeIdFromWire(spiffeIdToWire(id), 'id'), id);
  const read = (trustDomain: string, path: string) => () =>
    spiffeIdFromWire(create(SPIFFEIDSchema, { trustDomain, path }), 'entry.parent_id');
  throwsCode('wire_invalid', /^entry\.parent_id: it is missing$/, () =>
    spiffeIdFromWire(undefined, 'entry.parent_id'),
  );
  throwsCode('wire_invalid', /^entry\.parent_id: .*it is empty/, read('', '/a'));
  throwsCode('wire_invalid', /^entry\.parent_id: .*dot segment/, read('example.org', '/../a'));
  throwsCode(
    'wire_invalid',
    /^entry\.parent_id: its path does not begin with \/$/,
    read('example.org', '.evil/a'),
  );
  throwsCode(
    'wire_invalid',
    /^entry\.parent_id: .*longer than 2048/,
    read('example.org', `/${'a'.repeat(2048)}`),
  );
  throwsCode('wire_invalid', /^entry\.parent_id: .*character outside/, read('example.org/b', '/a'));
  assert.equal(trustDomainFromWire('spiffe://example.org', 'x'), 'example.org');
});

test('selectors are sorted, without repetition, and refused when they would not read back', () => {
  const read = (...pairs: [string, string][]) =>
    selectorsFromWire(
      pairs.map(([type, value]) => ({ $typeName: 'spire.api.types.Selector' as const, type, value })),
      'selectors',
    );
  assert.deepEqual(read(['unix', 'uid:2'], ['unix', 'uid:1'], ['unix', 'uid:2']), [
    { type: 'unix', value: 'uid:1' },
    { type: 'unix', value: 'uid:2' },
  ]);
  throwsCode('wire_invalid', /^selectors\[1\]: its type or value is empty$/, () =>
    read(['a', 'b'], ['a', '']),
  );
  throwsCode('wire_invalid', /^selectors\[0\]: its type "a:b" has a colon$/, () => read(['a:b', 'c']));
  const many = Array.from({ length: 501 }, (_, n): [string, string] => ['t', String(n)]);
  throwsCode('wire_invalid', /^selectors: 501 items are more than 500$/, () => read(...many));
});

test('numbers and lists of an entry are bounded', () => {
  const id = { trustDomain: 'example.org', path: '/a' };
  const wire = (more: object) => create(EntrySchema, { spiffeId: id, parentId: id, ...more });
  const read = (more: object) => () => entryFromWire(wire(more));
  throwsCode('wire_invalid', /^entry\.expires_at: -1 is below zero/, read({ expiresAt: -1n }));
  throwsCode('wire_invalid', /^entry\.created_at: .* above 2\^53/, read({ createdAt: 2n ** 60n }));
  throwsCode('wire_invalid', /^entry\.x509_svid_ttl: -5 /, read({ x509SvidTtl: -5 }));
  throwsCode('wire_invalid', /^entry\.hint: it is longer than 2048/, read({ hint: 'x'.repeat(2049) }));
  throwsCode('wire_invalid', /^entry\.dns_names: 1001 items/, read({ dnsNames: Array(1001).fill('a') }));
  throwsCode('wire_invalid', /^entry\.federates_with: /, read({ federatesWith: ['A'] }));
});

test('a bundle without bytes where bytes belong is refused by field', () => {
  const wire = (more: object) => () =>
    bundleFromWire(create(BundleSchema, { trustDomain: 'a.example', ...more }));
  throwsCode(
    'wire_invalid',
    /^bundle\.x509_authorities\[0\]\.asn1: it is empty$/,
    wire({ x509Authorities: [{}] }),
  );
  throwsCode(
    'wire_invalid',
    /^bundle\.jwt_authorities\[0\]\.key_id: it is empty$/,
    wire({ jwtAuthorities: [{}] }),
  );
  throwsCode(
    'wire_invalid',
    /^bundle\.jwt_authorities\[0\]\.public_key: it is empty$/,
    wire({ jwtAuthorities: [{ keyId: 'a' }] }),
  );
  throwsCode('wire_invalid', /^bundle\.refresh_hint: -1 /, wire({ refreshHint: -1n }));
});

test('an absent mask keeps everything, an empty one the key alone, a set one what it names', () => {
  const [one] = fc.sample(entry, 1);
  assert.ok(one !== undefined);
  const full = entryToWire(one);
  assert.deepEqual(entryToWire(one, undefined), full);
  assert.deepEqual(entryToWire(one, create(EntryMaskSchema)), create(EntrySchema, { id: one.id }));
  const two = entryToWire(one, create(EntryMaskSchema, { spiffeId: true, hint: true }));
  assert.deepEqual(two, create(EntrySchema, { id: one.id, spiffeId: full.spiffeId ?? {}, hint: one.hint }));
  const bare: Bundle = {
    trustDomain: parseTrustDomain('a.example'),
    x509Authorities: [],
    jwtAuthorities: [],
    refreshHint: 300,
    sequence: 7n,
  };
  const part = bundleToWire(bare, create(BundleMaskSchema, { sequenceNumber: true }));
  assert.deepEqual(part, create(BundleSchema, { trustDomain: 'a.example', sequenceNumber: 7n }));
});

test('a oneof is masked under its own name', () => {
  const message = () =>
    create(FederationRelationshipSchema, {
      trustDomain: 'a.example',
      bundleEndpointUrl: 'https://a.example',
      bundleEndpointProfile: { case: 'httpsWeb', value: {} },
    });
  const keep = create(FederationRelationshipMaskSchema, { bundleEndpointProfile: true });
  const kept = applyMask(FederationRelationshipSchema, message(), keep, 'trustDomain');
  assert.equal(kept.bundleEndpointProfile.case, 'httpsWeb');
  assert.equal(kept.bundleEndpointUrl, '');
  const none = applyMask(
    FederationRelationshipSchema,
    message(),
    create(FederationRelationshipMaskSchema),
    'trustDomain',
  );
  assert.equal(none.bundleEndpointProfile.case, undefined);
  assert.equal(none.trustDomain, 'a.example');
  assert.equal(masked(keep, 'bundleEndpointUrl'), false);
  assert.equal(masked(undefined as typeof keep | undefined, 'bundleEndpointUrl'), true);
});
