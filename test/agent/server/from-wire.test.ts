import assert from 'node:assert/strict';
import test from 'node:test';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { receivedBundle, receivedEntry, receivedId } from '../../../src/agent/server/from-wire.js';
import { sessionMessage } from '../../../src/agent/server/session-message.js';
import type { Bundle } from '../../../src/spiffe/bundle.js';
import { bundleToWire } from '../../../src/wire/bundle.js';
import { entryToWire } from '../../../src/wire/entry.js';
import { EntrySchema, SPIFFEIDSchema } from '../../../src/wire/gen/spire/types_pb.js';
import { HostState } from '../../../src/wire/gen/touchmark/host/v1/state_pb.js';
import type { LogKind } from '../../../src/wire/gen/touchmark/measure/v1/logs_pb.js';
import { ServerMessageSchema } from '../../../src/wire/gen/touchmark/session/v1/session_pb.js';
import { makeEntry } from '../../fakes/entries.js';
import { manualClock } from '../../fakes/manual-clock.js';
import { signingAuthority } from '../../fakes/signing-authority.js';
import { throwsCode } from '../../support/rejects.js';

/** The same bytes, whichever class holds them. */
function plain(bundle: Bundle): Bundle {
  return {
    ...bundle,
    x509Authorities: bundle.x509Authorities.map((one) => ({ ...one, der: Uint8Array.from(one.der) })),
    jwtAuthorities: bundle.jwtAuthorities.map((one) => ({ ...one, spki: Uint8Array.from(one.spki) })),
  };
}

const code = 'server_answer_invalid';
const authority = signingAuthority(manualClock());
const selectors = [{ type: 'unix', value: 'uid:1' }];
const spiffeId = { trustDomain: 'example.org', path: '/web' };
const message = (fields: MessageInitShape<typeof ServerMessageSchema>['message']) =>
  sessionMessage(create(ServerMessageSchema, fields === undefined ? {} : { message: fields }));

test('an entry comes back as it was sent, and without its parent under SPIRE’s mask', () => {
  const entry = makeEntry('a', { hint: 'db', dnsNames: ['a.example'], revisionNumber: 7 });
  assert.deepEqual(receivedEntry(entryToWire(entry)), entry);
  const masked = receivedEntry(create(EntrySchema, { id: 'a', spiffeId, selectors }));
  assert.deepEqual([masked.spiffeId, masked.parentId], ['spiffe://example.org/web', masked.spiffeId]);
});

test('an entry that makes no sense is the fault of the server, and is named', () => {
  const bad: [MessageInitShape<typeof EntrySchema>, RegExp][] = [
    [{ spiffeId, selectors }, /^the server sent entry "" that makes no sense: it has no ID$/],
    [{ id: 'a', selectors }, /entry "a" that makes no sense: entry.spiffe_id: it is missing$/],
    [{ id: 'a', spiffeId: { ...spiffeId, path: 'web' }, selectors }, /its path does not begin with \/$/],
    [{ id: 'a', spiffeId: { ...spiffeId, path: '/../b' }, selectors }, /entry.spiffe_id: /],
    [{ id: 'a', spiffeId, selectors: [{ type: '', value: 'x' }] }, /its type or value is empty$/],
    [
      { id: 'a', spiffeId, selectors: Array.from({ length: 501 }, () => ({ type: 'a', value: 'b' })) },
      /entry.selectors: 501 items are more than 500$/,
    ],
    [{ id: 'a', spiffeId, selectors, revisionNumber: -1n }, /entry.revision_number: -1 is below zero/],
    [{ id: 'a', spiffeId, selectors, federatesWith: ['No Domain'] }, /entry.federates_with: /],
  ];
  for (const [fields, expected] of bad)
    throwsCode(code, expected, () => receivedEntry(create(EntrySchema, fields)));
});

test('an ID that is missing or makes no sense is refused', () => {
  throwsCode(code, /^the server sent an ID that makes no sense: id: it is missing$/, () =>
    receivedId(undefined),
  );
  throwsCode(code, /its path does not begin with \/$/, () =>
    receivedId(create(SPIFFEIDSchema, { trustDomain: 'example.org', path: '.evil/web' })),
  );
});

test('a bundle comes back as it was sent; one damaged certificate spoils it', () => {
  const bundle = plain(authority.bundle());
  assert.deepEqual(receivedBundle(bundleToWire(bundle)), bundle);
  const wire = bundleToWire(bundle);
  const [first] = wire.x509Authorities;
  assert.ok(first !== undefined);
  first.asn1 = first.asn1.slice(0, -1);
  throwsCode(code, /^the server sent a bundle of "example.org" that makes no sense: /, () =>
    receivedBundle(wire),
  );
  wire.x509Authorities = Array.from({ length: 1001 }, () => first);
  throwsCode(code, /bundle.x509_authorities: 1001 items are more than 1000$/, () => receivedBundle(wire));
});

test('every message of a session is read into our own words', () => {
  const entry = makeEntry('a');
  const change = { epoch: 'e', revision: 3n, full: true, removed: ['b'], more: false };
  assert.deepEqual(message({ case: 'entries', value: { ...change, upserts: [entryToWire(entry)] } }), {
    kind: 'entries',
    ...change,
    upserts: [entry],
  });
  const own = plain(authority.bundle());
  assert.deepEqual(
    message({ case: 'bundles', value: { own: bundleToWire(own), crl: [Buffer.from('crl')] } }),
    {
      kind: 'bundles',
      own,
      federated: [],
      crls: [Uint8Array.from(Buffer.from('crl'))],
    },
  );
  assert.deepEqual(message({ case: 'verdict', value: { state: HostState.DRIFTED, reattestAt: 5n } }), {
    kind: 'verdict',
    state: 'drifted',
    reasons: [],
    reattestAt: 5,
    graceEndsAt: 0,
  });
  assert.deepEqual(message({ case: 'heartbeat', value: { serverTime: 9n } }), {
    kind: 'heartbeat',
    serverTime: 9,
  });
  const bytes = Buffer.from('a tick as it came');
  assert.deepEqual(message({ case: 'tick', value: bytes }), { kind: 'tick', bytes });
  const request = { log: 9 as LogKind, offset: 3n, maxBytes: 7 };
  assert.deepEqual(message({ case: 'logRequest', value: request }), { kind: 'log-request', ...request });
  assert.deepEqual(message(undefined), { kind: 'heartbeat', serverTime: 0 }, 'of a later version');
});

test('a state that this agent does not know keeps its number, and never counts as none', () => {
  const read = message({ case: 'verdict', value: { state: 99 as HostState } });
  assert.equal(read.kind === 'verdict' && read.state, '99');
});

test('reasons are few, short and on one line', () => {
  const reasons = Array.from({ length: 60 }, () => ({
    code: 'c'.repeat(200),
    message: `a\n\u0000b\r\n${'x'.repeat(1_000)}`,
  }));
  const read = message({ case: 'withdraw', value: { reasons } });
  assert.ok(read.kind === 'withdraw');
  assert.equal(read.reasons.length, 50);
  for (const reason of read.reasons) {
    assert.deepEqual([reason.code.length, reason.message.length], [100, 500]);
    assert.match(reason.message, /^a b x+$/);
  }
});

test('what cannot be read is told, so that it can be asked for again', () => {
  assert.deepEqual(message({ case: 'entries', value: { upserts: [{ id: 'a' }] } }), {
    kind: 'unusable',
    why: 'a message of kind entries: the server sent entry "a" that makes no sense: entry.spiffe_id: it is missing',
  });
  const crl = Array.from({ length: 101 }, () => Buffer.from('x'));
  assert.deepEqual(message({ case: 'bundles', value: { crl } }), {
    kind: 'unusable',
    why: 'a message of kind bundles: 101 CRLs',
  });
});
