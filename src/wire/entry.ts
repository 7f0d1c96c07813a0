import { create } from '@bufbuild/protobuf';
import type { Entry } from '../spiffe/entry.js';
import { type EntryMask, EntrySchema, type Entry as WireEntry } from './gen/spire/types_pb.js';
import { spiffeIdFromWire, spiffeIdToWire, trustDomainFromWire } from './id.js';
import { atMost, countOf, invalidField } from './invalid.js';
import { applyMask } from './mask.js';
import { selectorsFromWire, selectorToWire } from './selector.js';

const MAX_LIST = 1000;
const MAX_TEXT = 2048;

/** A fresh message; masked, it keeps `id` and what the mask asks for. */
export function entryToWire(entry: Entry, mask?: EntryMask): WireEntry {
  const message = create(EntrySchema, {
    id: entry.id,
    spiffeId: spiffeIdToWire(entry.spiffeId),
    parentId: spiffeIdToWire(entry.parentId),
    selectors: entry.selectors.map(selectorToWire),
    x509SvidTtl: entry.x509SvidTtl,
    jwtSvidTtl: entry.jwtSvidTtl,
    federatesWith: [...entry.federatesWith],
    admin: entry.admin,
    downstream: entry.downstream,
    expiresAt: BigInt(entry.expiresAt),
    dnsNames: [...entry.dnsNames],
    revisionNumber: BigInt(entry.revisionNumber),
    storeSvid: entry.storeSvid,
    hint: entry.hint,
    createdAt: BigInt(entry.createdAt),
    additionalAttributes: {
      disableX509SvidPrefetch: entry.disableX509SvidPrefetch,
      jwtSvidIncludeJti: entry.jwtSvidIncludeJti,
    },
  });
  return applyMask(EntrySchema, message, mask, 'id');
}

/**
 * A whole entry, as listings give it. Establishes the shape only: not that the entry keeps the rules of registration
 * (src/spiffe/check-entry.ts), nor that its IDs belong to this trust domain.
 * @throws TouchmarkError `wire_invalid`
 */
export function entryFromWire(wire: WireEntry, field = 'entry'): Entry {
  atMost(`${field}.federates_with`, wire.federatesWith, MAX_LIST);
  atMost(`${field}.dns_names`, wire.dnsNames, MAX_LIST);
  return {
    id: shortText(wire.id, `${field}.id`),
    spiffeId: spiffeIdFromWire(wire.spiffeId, `${field}.spiffe_id`),
    parentId: spiffeIdFromWire(wire.parentId, `${field}.parent_id`),
    selectors: selectorsFromWire(wire.selectors, `${field}.selectors`),
    x509SvidTtl: countOf(`${field}.x509_svid_ttl`, BigInt(wire.x509SvidTtl)),
    jwtSvidTtl: countOf(`${field}.jwt_svid_ttl`, BigInt(wire.jwtSvidTtl)),
    federatesWith: wire.federatesWith.map((name) => trustDomainFromWire(name, `${field}.federates_with`)),
    admin: wire.admin,
    downstream: wire.downstream,
    expiresAt: countOf(`${field}.expires_at`, wire.expiresAt),
    dnsNames: wire.dnsNames.map((name) => shortText(name, `${field}.dns_names`)),
    revisionNumber: countOf(`${field}.revision_number`, wire.revisionNumber),
    storeSvid: wire.storeSvid,
    hint: shortText(wire.hint, `${field}.hint`),
    createdAt: countOf(`${field}.created_at`, wire.createdAt),
    disableX509SvidPrefetch: wire.additionalAttributes?.disableX509SvidPrefetch === true,
    jwtSvidIncludeJti: wire.additionalAttributes?.jwtSvidIncludeJti === true,
  };
}

function shortText(text: string, field: string): string {
  if (text.length > MAX_TEXT) throw invalidField(field, `it is longer than ${MAX_TEXT} characters`);
  return text;
}
