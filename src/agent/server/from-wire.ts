import { TouchmarkError } from '../../errors.js';
import type { Bundle } from '../../spiffe/bundle.js';
import { canonicalSelectors, type Entry } from '../../spiffe/entry.js';
import { makeSpiffeId, parseTrustDomain, type SpiffeId } from '../../spiffe/id.js';
import type { SPIFFEID, Bundle as WireBundle, Entry as WireEntry } from '../../wire/gen/spire/types_pb.js';
import { readCertificate } from '../../x509/read-certificate.js';

const MAX_SELECTORS = 1_000;
const MAX_AUTHORITIES = 200;

/** @throws TouchmarkError `server_answer_invalid`, `spiffe_id_invalid`, `trust_domain_invalid` */
export function spiffeIdFromWire(id: SPIFFEID | undefined): SpiffeId {
  return makeSpiffeId(parseTrustDomain(id?.trustDomain ?? ''), id?.path ?? '');
}

/**
 * An entry as the server sent it. Checks what the agent relies on; whether the entry is wise was decided by the server.
 * Fields outside SPIRE's agents' mask (parent, TTLs, expiry, DNS names) may be missing and are then empty.
 * @throws TouchmarkError `server_answer_invalid`, `spiffe_id_invalid`, `trust_domain_invalid`
 */
export function entryFromWire(wire: WireEntry): Entry {
  if (wire.id === '') throw invalid('an entry without an ID');
  if (wire.selectors.length > MAX_SELECTORS)
    throw invalid(`entry ${wire.id} with ${wire.selectors.length} selectors`);
  const spiffeId = spiffeIdFromWire(wire.spiffeId);
  return {
    id: wire.id,
    spiffeId,
    parentId: wire.parentId === undefined ? spiffeId : spiffeIdFromWire(wire.parentId),
    selectors: canonicalSelectors(wire.selectors.map(({ type, value }) => ({ type, value }))),
    x509SvidTtl: wire.x509SvidTtl,
    jwtSvidTtl: wire.jwtSvidTtl,
    // SPIRE's servers write domains here either way.
    federatesWith: wire.federatesWith.map((name) => parseTrustDomain(name.replace(/^spiffe:\/\//, ''))),
    admin: wire.admin,
    downstream: wire.downstream,
    expiresAt: Number(wire.expiresAt),
    dnsNames: [...wire.dnsNames],
    revisionNumber: Number(wire.revisionNumber),
    storeSvid: wire.storeSvid,
    hint: wire.hint,
    createdAt: Number(wire.createdAt),
    disableX509SvidPrefetch: wire.additionalAttributes?.disableX509SvidPrefetch ?? false,
    jwtSvidIncludeJti: wire.additionalAttributes?.jwtSvidIncludeJti ?? false,
  };
}

/**
 * A bundle as the server sent it, every certificate read once so that a damaged one never enters.
 * @throws TouchmarkError `server_answer_invalid`, `trust_domain_invalid`, `certificate_invalid`, `der_invalid`
 */
export function bundleFromWire(wire: WireBundle): Bundle {
  if (wire.x509Authorities.length + wire.jwtAuthorities.length > MAX_AUTHORITIES) {
    throw invalid(`a bundle of ${wire.trustDomain} with more than ${MAX_AUTHORITIES} authorities`);
  }
  return {
    trustDomain: parseTrustDomain(wire.trustDomain),
    x509Authorities: wire.x509Authorities.map(({ asn1, tainted }) => {
      readCertificate(asn1);
      return { der: Uint8Array.from(asn1), tainted };
    }),
    jwtAuthorities: wire.jwtAuthorities.map(({ keyId, publicKey, expiresAt, tainted }) => ({
      keyId,
      spki: Uint8Array.from(publicKey),
      expiresAt: Number(expiresAt),
      tainted,
    })),
    refreshHint: Number(wire.refreshHint),
    sequence: wire.sequenceNumber,
  };
}

function invalid(what: string): TouchmarkError {
  return new TouchmarkError('server_answer_invalid', `the server sent ${what}`);
}
