import { derTrue, octetString, oid, sequence, tag, text, tlv, unsignedInteger } from './der.js';

/** Key usage bits (RFC 5280 section 4.2.1.3), the first in the most significant place. */
export const keyUsageBit = {
  digitalSignature: 0x80,
  nonRepudiation: 0x40,
  keyEncipherment: 0x20,
  dataEncipherment: 0x10,
  keyAgreement: 0x08,
  keyCertSign: 0x04,
  crlSign: 0x02,
} as const;

const ids = {
  subjectKeyId: oid('2.5.29.14'),
  keyUsage: oid('2.5.29.15'),
  subjectAltName: oid('2.5.29.17'),
  basicConstraints: oid('2.5.29.19'),
  authorityKeyId: oid('2.5.29.35'),
  extendedKeyUsage: oid('2.5.29.37'),
};

export function extension(id: Uint8Array, critical: boolean, value: Uint8Array): Buffer {
  return critical ? sequence(id, derTrue, octetString(value)) : sequence(id, octetString(value));
}

/** `bits` is one octet out of `keyUsageBit`. Always critical (X509-SVID section 4.3). */
export function keyUsage(bits: number): Buffer {
  const unused = 31 - Math.clz32(bits & -bits);
  return extension(ids.keyUsage, true, tlv(tag.bitString, Uint8Array.of(unused, bits)));
}

export function basicConstraints(authority: boolean, pathLength?: number): Buffer {
  if (!authority) return extension(ids.basicConstraints, true, sequence());
  const limit = pathLength === undefined ? [] : [unsignedInteger(Uint8Array.of(pathLength))];
  return extension(ids.basicConstraints, true, sequence(derTrue, ...limit));
}

/** serverAuth and clientAuth, always both (X509-SVID section 4.4). */
export const serverAndClientAuth: Uint8Array = extension(
  ids.extendedKeyUsage,
  false,
  sequence(oid('1.3.6.1.5.5.7.3.1'), oid('1.3.6.1.5.5.7.3.2')),
);

export function subjectKeyId(identifier: Uint8Array): Buffer {
  return extension(ids.subjectKeyId, false, octetString(identifier));
}

export function authorityKeyId(identifier: Uint8Array): Buffer {
  return extension(ids.authorityKeyId, false, sequence(tlv(tag.primitive(0), identifier)));
}

export function subjectAltName(
  uris: readonly string[],
  dnsNames: readonly string[],
  critical: boolean,
): Buffer {
  const names = [
    ...uris.map((uri) => text(tag.primitive(6), uri)),
    ...dnsNames.map((name) => text(tag.primitive(2), name)),
  ];
  return extension(ids.subjectAltName, critical, sequence(...names));
}

/** The extensions of a request or certificate, as one SEQUENCE. */
export function extensionList(...list: readonly Uint8Array[]): Buffer {
  return sequence(...list);
}
