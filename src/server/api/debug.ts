import { create } from '@bufbuild/protobuf';
import type { Clock } from '../../clock.js';
import { parseSpiffeId } from '../../spiffe/id.js';
import {
  type Debug,
  GetInfoResponse_CertSchema,
  GetInfoResponseSchema,
} from '../../wire/gen/spire/server/debug_pb.js';
import { spiffeIdToWire } from '../../wire/id.js';
import { describeName } from '../../x509/name.js';
import { readCertificate } from '../../x509/read-certificate.js';
import type { Authority, Registry } from '../contract.js';
import type { ApiService } from './service.js';

export interface DebugDeps {
  readonly registry: Registry;
  readonly authority: Authority;
  readonly clock: Clock;
  /** The server's own chain, as it is shown to agents now. */
  readonly serverChain: () => readonly Uint8Array[];
}

export function debugService(deps: DebugDeps): ApiService<typeof Debug> {
  const startedAt = deps.clock.now();
  return {
    getInfo: async () =>
      create(GetInfoResponseSchema, {
        svidChain: deps.serverChain().map(certToWire),
        uptime: Math.floor((deps.clock.now() - startedAt) / 1000),
        agentsCount: deps.registry.nodeCount,
        entriesCount: deps.registry.entryCount,
        federatedBundlesCount: deps.authority.foreignDomains().length,
      }),
  };
}

function certToWire(der: Uint8Array) {
  const certificate = readCertificate(der);
  const [uri] = certificate.uris;
  return create(GetInfoResponse_CertSchema, {
    ...(uri === undefined ? {} : { id: spiffeIdToWire(parseSpiffeId(uri)) }),
    expiresAt: BigInt(certificate.notAfter),
    subject: describeName(certificate.subjectDer),
  });
}
