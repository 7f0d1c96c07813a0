import { createPublicKey } from 'node:crypto';
import { messageOf, TouchmarkError } from '../../errors.js';
import { parseTrustDomain, type TrustDomain } from '../../spiffe/id.js';
import { bundleToWire } from '../../wire/bundle.js';
import type {
  BundleMask,
  JWTKey,
  Bundle as WireBundle,
  X509Certificate,
} from '../../wire/gen/spire/types_pb.js';
import { masked } from '../../wire/mask.js';
import { readCertificate } from '../../x509/read-certificate.js';
import { bundleFromRecord } from '../authority/bundle.js';
import type { BundleRecord } from '../model.js';
import { checkLength, foreignDomainFromWire } from './fields.js';

const MAX_AUTHORITIES = 200;
const MAX_KEY_ID = 1024;

type X509Record = BundleRecord['x509Authorities'][number];
type JwtRecord = BundleRecord['jwtAuthorities'][number];

export function recordToWire(record: BundleRecord, mask: BundleMask | undefined): WireBundle {
  return bundleToWire(bundleFromRecord(parseTrustDomain(record.trustDomain), record), mask);
}

/** A foreign bundle as an operator gives it. */
export function recordFromWire(wire: WireBundle, own: TrustDomain): BundleRecord {
  return {
    trustDomain: foreignDomainFromWire('bundle.trust_domain', wire.trustDomain, own),
    x509Authorities: x509FromWire('bundle.x509_authorities', wire.x509Authorities),
    jwtAuthorities: jwtFromWire('bundle.jwt_authorities', wire.jwtAuthorities),
    refreshHint: hintFromWire(wire.refreshHint),
    sequence: wire.sequenceNumber.toString(),
  };
}

/** The fields of the mask from the request, the others as they were. */
export function mergeRecord(
  before: BundleRecord,
  after: BundleRecord,
  mask: BundleMask | undefined,
): BundleRecord {
  return {
    trustDomain: before.trustDomain,
    x509Authorities: (masked(mask, 'x509Authorities') ? after : before).x509Authorities,
    jwtAuthorities: (masked(mask, 'jwtAuthorities') ? after : before).jwtAuthorities,
    refreshHint: (masked(mask, 'refreshHint') ? after : before).refreshHint,
    sequence: (masked(mask, 'sequenceNumber') ? after : before).sequence,
  };
}

/** Certificates of authorities, each read here so that a damaged one never enters a bundle. */
export function x509FromWire(field: string, certificates: readonly X509Certificate[]): X509Record[] {
  checkLength(field, certificates, MAX_AUTHORITIES);
  return certificates.map(({ asn1, tainted }, index) => {
    try {
      if (!readCertificate(asn1).authority) throw new Error('it is not a certificate authority');
    } catch (cause) {
      throw new TouchmarkError('argument_invalid', `${field}[${index}]: ${messageOf(cause)}`, { cause });
    }
    return { der: Buffer.from(asn1).toString('base64'), tainted };
  });
}

export function jwtFromWire(field: string, keys: readonly JWTKey[]): JwtRecord[] {
  checkLength(field, keys, MAX_AUTHORITIES);
  return keys.map((key, index) => jwtKeyFromWire(`${field}[${index}]`, key));
}

export function jwtKeyFromWire(field: string, key: JWTKey): JwtRecord {
  const { keyId, publicKey, expiresAt, tainted } = key;
  if (keyId === '' || keyId.length > MAX_KEY_ID) {
    throw new TouchmarkError('argument_invalid', `${field}.key_id: it is empty or longer than ${MAX_KEY_ID}`);
  }
  if (expiresAt < 0n) throw new TouchmarkError('argument_invalid', `${field}.expires_at: it is below zero`);
  try {
    const kind = createPublicKey({
      key: Buffer.from(publicKey),
      format: 'der',
      type: 'spki',
    }).asymmetricKeyType;
    if (kind !== 'ec' && kind !== 'rsa') throw new Error(`a key of type ${kind} does not sign JWT-SVIDs`);
  } catch (cause) {
    throw new TouchmarkError('argument_invalid', `${field}.public_key: ${messageOf(cause)}`, { cause });
  }
  return { keyId, spki: Buffer.from(publicKey).toString('base64'), expiresAt: Number(expiresAt), tainted };
}

function hintFromWire(hint: bigint): number {
  if (hint < 0n || hint > 2n ** 31n) {
    throw new TouchmarkError('argument_invalid', `bundle.refresh_hint: ${hint} is not a number of seconds`);
  }
  return Number(hint);
}
