import { create } from '@bufbuild/protobuf';
import { TouchmarkError } from '../../errors.js';
import type { TrustDomain as TrustDomainName } from '../../spiffe/id.js';
import {
  ListFederationRelationshipsResponseSchema,
  type TrustDomain,
} from '../../wire/gen/spire/server/trustdomain_pb.js';
import { foreignDomainFromWire } from './fields.js';
import type { ApiService } from './service.js';

/** Relationships that fetch a foreign bundle by themselves. There are none yet, and saying so is all that this does. */
export function trustDomainService(own: TrustDomainName): ApiService<typeof TrustDomain> {
  return {
    listFederationRelationships: async () => create(ListFederationRelationshipsResponseSchema),
    getFederationRelationship: async (request) => {
      const domain = foreignDomainFromWire('trust_domain', request.trustDomain, own);
      throw new TouchmarkError('bundle_not_found', `there is no federation relationship with ${domain}`);
    },
    batchCreateFederationRelationship: later,
    batchUpdateFederationRelationship: later,
    batchDeleteFederationRelationship: later,
    refreshBundle: later,
  };
}

async function later(): Promise<never> {
  const message =
    'federation relationships come with version 0.4; until then bundles are set by hand (bundle set)';
  throw new TouchmarkError('federation_later', message);
}
