import { create } from '@bufbuild/protobuf';
import type { Bundle, JwtAuthority } from '../spiffe/bundle.js';
import {
  type BundleMask,
  BundleSchema,
  type JWTKey,
  JWTKeySchema,
  type Bundle as WireBundle,
  X509CertificateSchema,
} from './gen/spire/types_pb.js';
import { trustDomainFromWire } from './id.js';
import { atMost, countOf, invalidField, ownBytes } from './invalid.js';
import { applyMask } from './mask.js';

const MAX_AUTHORITIES = 1000;
const MAX_KEY_ID = 1024;

/** A fresh message; masked, it keeps `trust_domain` and what the mask asks for. */
export function bundleToWire(bundle: Bundle, mask?: BundleMask): WireBundle {
  const message = create(BundleSchema, {
    trustDomain: bundle.trustDomain,
    x509Authorities: bundle.x509Authorities.map(({ der, tainted }) =>
      create(X509CertificateSchema, { asn1: der, tainted }),
    ),
    jwtAuthorities: bundle.jwtAuthorities.map(jwtAuthorityToWire),
    refreshHint: BigInt(bundle.refreshHint),
    sequenceNumber: bundle.sequence,
  });
  return applyMask(BundleSchema, message, mask, 'trustDomain');
}

export function jwtAuthorityToWire({ keyId, spki, expiresAt, tainted }: JwtAuthority): JWTKey {
  return create(JWTKeySchema, { keyId, publicKey: spki, expiresAt: BigInt(expiresAt), tainted });
}

/**
 * Establishes the shape only: certificates and keys stay bytes that nobody has read yet, and whose bundle it is
 * depends on who was asked.
 * @throws TouchmarkError `wire_invalid`
 */
export function bundleFromWire(wire: WireBundle, field = 'bundle'): Bundle {
  atMost(`${field}.x509_authorities`, wire.x509Authorities, MAX_AUTHORITIES);
  atMost(`${field}.jwt_authorities`, wire.jwtAuthorities, MAX_AUTHORITIES);
  return {
    trustDomain: trustDomainFromWire(wire.trustDomain, `${field}.trust_domain`),
    x509Authorities: wire.x509Authorities.map(({ asn1, tainted }, at) => {
      if (asn1.length === 0) throw invalidField(`${field}.x509_authorities[${at}].asn1`, 'it is empty');
      return { der: ownBytes(asn1), tainted };
    }),
    jwtAuthorities: wire.jwtAuthorities.map((key, at) =>
      jwtAuthorityFromWire(key, `${field}.jwt_authorities[${at}]`),
    ),
    refreshHint: countOf(`${field}.refresh_hint`, wire.refreshHint),
    sequence: wire.sequenceNumber,
  };
}

/** @throws TouchmarkError `wire_invalid` */
export function jwtAuthorityFromWire(key: JWTKey, field: string): JwtAuthority {
  const { keyId, publicKey, tainted } = key;
  if (keyId === '') throw invalidField(`${field}.key_id`, 'it is empty');
  if (keyId.length > MAX_KEY_ID) {
    throw invalidField(`${field}.key_id`, `it is longer than ${MAX_KEY_ID} characters`);
  }
  if (publicKey.length === 0) throw invalidField(`${field}.public_key`, 'it is empty');
  return {
    keyId,
    spki: ownBytes(publicKey),
    expiresAt: countOf(`${field}.expires_at`, key.expiresAt),
    tainted,
  };
}
