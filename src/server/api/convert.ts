import { createHash } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import type { TouchmarkError } from '../../errors.js';
import { statusNumber } from '../../rpc/error-status.js';
import {
  type Agent,
  AgentSchema,
  type JWTSVID,
  JWTSVIDSchema,
  type Status,
  StatusSchema,
  type X509SVID,
  X509SVIDSchema,
} from '../../wire/gen/spire/types_pb.js';
import { spiffeIdToWire } from '../../wire/id.js';
import { selectorToWire } from '../../wire/selector.js';
import type { IssuedJwt, IssuedX509 } from '../contract.js';
import type { Node } from '../model.js';

/** Our own types as SPIRE's API writes them. */

export function x509SvidToWire(svid: IssuedX509, hint: string): X509SVID {
  return create(X509SVIDSchema, {
    certChain: [...svid.chain],
    id: spiffeIdToWire(svid.id),
    expiresAt: BigInt(svid.expiresAt),
    hint,
  });
}

export function jwtSvidToWire(svid: IssuedJwt, hint: string): JWTSVID {
  return create(JWTSVIDSchema, {
    token: svid.token,
    id: spiffeIdToWire(svid.id),
    expiresAt: BigInt(svid.expiresAt),
    issuedAt: BigInt(svid.issuedAt),
    hint,
  });
}

export function agentToWire(node: Node): Agent {
  return create(AgentSchema, {
    id: spiffeIdToWire(node.id),
    attestationType: node.attestationType,
    x509svidSerialNumber: node.serial === '' ? '' : BigInt(`0x${node.serial}`).toString(),
    x509svidExpiresAt: BigInt(node.svidExpiresAt),
    selectors: node.selectors.map(selectorToWire),
    banned: node.banned,
    canReattest: node.canReattest,
    agentVersion: node.agentVersion,
  });
}

export function okStatus(message = 'OK'): Status {
  return create(StatusSchema, { code: 0, message });
}

/** The status of one item of a batch. */
export function statusOf(error: TouchmarkError): Status {
  return create(StatusSchema, { code: statusNumber(error.rpc), message: error.message });
}

/** What tells one certificate request from another in the audit log. */
export function csrDigest(csr: Uint8Array): string {
  return createHash('sha256').update(csr).digest('hex');
}
