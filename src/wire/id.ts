import { create } from '@bufbuild/protobuf';
import {
  makeSpiffeId,
  parseTrustDomain,
  pathOf,
  type SpiffeId,
  type TrustDomain,
  trustDomainOf,
} from '../spiffe/id.js';
import { type SPIFFEID, SPIFFEIDSchema } from './gen/spire/types_pb.js';
import { invalidField, named } from './invalid.js';

const SCHEME = 'spiffe://';

export function spiffeIdToWire(id: SpiffeId): SPIFFEID {
  return create(SPIFFEIDSchema, { trustDomain: trustDomainOf(id), path: pathOf(id) });
}

/** @throws TouchmarkError `wire_invalid` */
export function spiffeIdFromWire(id: SPIFFEID | undefined, field: string): SpiffeId {
  if (id === undefined) throw invalidField(field, 'it is missing');
  // Without its slash a path would run on into the name of the trust domain.
  if (id.path !== '' && !id.path.startsWith('/')) throw invalidField(field, 'its path does not begin with /');
  return named(field, () => makeSpiffeId(trustDomainFromWire(id.trustDomain, 'trust_domain'), id.path));
}

/** A bare name; older clients of SPIRE write `spiffe://name`. @throws TouchmarkError `wire_invalid` */
export function trustDomainFromWire(text: string, field: string): TrustDomain {
  return named(field, () => parseTrustDomain(text.startsWith(SCHEME) ? text.slice(SCHEME.length) : text));
}
