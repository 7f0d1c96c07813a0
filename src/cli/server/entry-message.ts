import type { MessageInitShape } from '@bufbuild/protobuf';
import { pathOf, type SpiffeId, trustDomainOf } from '../../spiffe/id.js';
import type { EntrySchema } from '../../wire/gen/spire/types_pb.js';
import type { EntryManifest } from '../entry-fields.js';

export type EntryInit = MessageInitShape<typeof EntrySchema>;

/** An entry of a file as the server's API takes it. */
export function entryMessage(id: string, manifest: EntryManifest): EntryInit {
  const { disableX509SvidPrefetch, jwtSvidIncludeJti, expiresAt, ...rest } = manifest;
  return {
    ...rest,
    id,
    spiffeId: parts(manifest.spiffeId),
    parentId: parts(manifest.parentId),
    selectors: [...manifest.selectors],
    federatesWith: [...manifest.federatesWith],
    dnsNames: [...manifest.dnsNames],
    expiresAt: BigInt(expiresAt),
    additionalAttributes: { disableX509SvidPrefetch, jwtSvidIncludeJti },
  };
}

function parts(id: SpiffeId): { trustDomain: string; path: string } {
  return { trustDomain: trustDomainOf(id), path: pathOf(id) };
}
