import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DescMessage, DescService } from '@bufbuild/protobuf';
import {
  SpiffeWorkloadAPI,
  X509BundlesResponseSchema,
  X509SVIDResponseSchema,
} from '../../src/wire/gen/spiffe/workload_pb.js';
import { Debug as AgentDebug } from '../../src/wire/gen/spire/agent/debug_pb.js';
import { DelegatedIdentity } from '../../src/wire/gen/spire/agent/delegatedidentity_pb.js';
import { Agent } from '../../src/wire/gen/spire/server/agent_pb.js';
import { Bundle } from '../../src/wire/gen/spire/server/bundle_pb.js';
import { Entry } from '../../src/wire/gen/spire/server/entry_pb.js';
import { LocalAuthority } from '../../src/wire/gen/spire/server/localauthority_pb.js';
import { SVID } from '../../src/wire/gen/spire/server/svid_pb.js';
import { TrustDomain } from '../../src/wire/gen/spire/server/trustdomain_pb.js';
import * as types from '../../src/wire/gen/spire/types_pb.js';

/** `name=number` of each field: what SPIRE's clients and servers rely on. */
const shape = (message: DescMessage) =>
  message.fields.map((field) => `${field.name}=${field.number}`).join(' ');
const methods = (service: DescService) =>
  service.methods.map((method) => `${method.name}:${method.methodKind}`);

test('the Workload API has no package and exactly the seven methods of the specification', () => {
  assert.equal(SpiffeWorkloadAPI.typeName, 'SpiffeWorkloadAPI');
  assert.deepEqual(methods(SpiffeWorkloadAPI), [
    'FetchX509SVID:server_streaming',
    'FetchX509Bundles:server_streaming',
    'FetchJWTSVID:unary',
    'FetchJWTBundles:server_streaming',
    'ValidateJWTSVID:unary',
    'FetchWITSVID:server_streaming',
    'FetchWITBundles:server_streaming',
  ]);
  assert.equal(shape(X509SVIDResponseSchema), 'svids=1 crl=2 federated_bundles=3');
  assert.equal(shape(X509BundlesResponseSchema), 'crl=1 bundles=2');
});

test('SPIRE services carry the names and the number of methods that its clients call', () => {
  const counted = [
    Agent,
    Bundle,
    Entry,
    SVID,
    TrustDomain,
    LocalAuthority,
    DelegatedIdentity,
    AgentDebug,
  ].map((service) => [service.typeName, service.methods.length]);
  assert.deepEqual(counted, [
    ['spire.api.server.agent.v1.Agent', 9],
    ['spire.api.server.bundle.v1.Bundle', 11],
    ['spire.api.server.entry.v1.Entry', 8],
    ['spire.api.server.svid.v1.SVID', 7],
    ['spire.api.server.trustdomain.v1.TrustDomain', 6],
    ['spire.api.server.localauthority.v1.LocalAuthority', 17],
    ['spire.api.agent.delegatedidentity.v1.DelegatedIdentity', 4],
    ['spire.agent.debug.v1.Debug', 1],
  ]);
  assert.equal(Agent.method.attestAgent.methodKind, 'bidi_streaming');
  assert.equal(Entry.method.syncAuthorizedEntries.methodKind, 'bidi_streaming');
});

test('the messages that both sides store keep their field numbers', () => {
  assert.equal(
    shape(types.EntrySchema),
    'id=1 spiffe_id=2 parent_id=3 selectors=4 x509_svid_ttl=5 federates_with=6 admin=7 downstream=8 expires_at=9 ' +
      'dns_names=10 revision_number=11 store_svid=12 jwt_svid_ttl=13 hint=14 created_at=15 additional_attributes=16',
  );
  assert.equal(shape(types.EntryMaskSchema), shape(types.EntrySchema).replace('id=1 ', ''));
  assert.equal(
    shape(types.BundleSchema),
    'trust_domain=1 x509_authorities=2 jwt_authorities=3 refresh_hint=4 sequence_number=5 wit_authorities=6',
  );
  assert.equal(shape(types.BundleMaskSchema), shape(types.BundleSchema).replace('trust_domain=1 ', ''));
  assert.equal(
    shape(types.AgentSchema),
    'id=1 attestation_type=2 x509svid_serial_number=3 x509svid_expires_at=4 selectors=5 banned=6 can_reattest=7 agent_version=8',
  );
  assert.equal(shape(types.AgentMaskSchema), shape(types.AgentSchema).replace('id=1 ', ''));
  assert.equal(shape(types.X509SVIDSchema), 'cert_chain=1 id=2 expires_at=3 hint=4');
  assert.equal(shape(types.JWTSVIDSchema), 'token=1 id=2 expires_at=3 issued_at=4 hint=5');
});
