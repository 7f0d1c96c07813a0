import { create } from '@bufbuild/protobuf';
import type { Bundle } from '../spiffe/bundle.js';
import type { Entry } from '../spiffe/entry.js';
import { pathOf, type SpiffeId, trustDomainOf } from '../spiffe/id.js';
import {
  BundleSchema,
  EntrySchema,
  type Bundle as WireBundle,
  type Entry as WireEntry,
} from '../wire/gen/spire/types_pb.js';

export function entryToWire(entry: Entry): WireEntry {
  return create(EntrySchema, {
    id: entry.id,
    spiffeId: idToWire(entry.spiffeId),
    parentId: idToWire(entry.parentId),
    selectors: entry.selectors.map(({ type, value }) => ({ type, value })),
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
}

function idToWire(id: SpiffeId): { trustDomain: string; path: string } {
  return { trustDomain: trustDomainOf(id), path: pathOf(id) };
}

export function bundleToWire(bundle: Bundle): WireBundle {
  return create(BundleSchema, {
    trustDomain: bundle.trustDomain,
    x509Authorities: bundle.x509Authorities.map(({ der, tainted }) => ({ asn1: der, tainted })),
    jwtAuthorities: bundle.jwtAuthorities.map(({ spki, keyId, expiresAt, tainted }) => ({
      publicKey: spki,
      keyId,
      expiresAt: BigInt(expiresAt),
      tainted,
    })),
    refreshHint: BigInt(bundle.refreshHint),
    sequenceNumber: bundle.sequence,
  });
}
