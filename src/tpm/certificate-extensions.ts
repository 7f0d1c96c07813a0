import { TouchmarkError } from '../errors.js';
import { dottedOid } from '../x509/oid.js';
import type { TpmCertificate } from './certificate.js';
import { bitsOf, contentOf, elementsInside, elementsOf } from './lenient-der.js';

export const extensionOid = {
  subjectDirectoryAttributes: '2.5.29.9',
  subjectKeyId: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  certificatePolicies: '2.5.29.32',
  authorityKeyId: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
} as const;

/** Key usages by the bit's place in the BIT STRING's first octet (RFC 5280, 4.2.1.3). */
export const usageBit = {
  digitalSignature: 0x80,
  keyEncipherment: 0x20,
  keyAgreement: 0x08,
  keyCertSign: 0x04,
} as const;

/** Extended key usages of the TCG: what a certificate's key is. */
export const tcgUsage = {
  endorsementKey: '2.23.133.8.1',
  platform: '2.23.133.8.2',
  attestationKey: '2.23.133.8.3',
} as const;
export const ANY_USAGE = '2.5.29.37.0';

/** First octet of keyUsage; undefined when the extension is absent. */
export function keyUsageOf(certificate: TpmCertificate): number | undefined {
  const extension = certificate.extensions.get(extensionOid.keyUsage);
  if (!extension) return undefined;
  const [bits] = elementsOf(extension.value);
  return bitsOf(bits, 'the key usage', true)[0] ?? 0;
}

/** Dotted extended key usages; undefined when the extension is absent. */
export function extendedKeyUsageOf(certificate: TpmCertificate): string[] | undefined {
  const extension = certificate.extensions.get(extensionOid.extendedKeyUsage);
  if (!extension) return undefined;
  const usages = elementsInside(extension.value, 0x30, 'the extended key usage');
  return usages.map((usage) => dottedOid(contentOf(usage, 0x06, 'an extended key usage')));
}

export interface Constraints {
  authority: boolean;
  pathLength?: number;
}

/** Basic constraints; undefined when the extension is absent. */
export function basicConstraintsOf(certificate: TpmCertificate): Constraints | undefined {
  const extension = certificate.extensions.get(extensionOid.basicConstraints);
  if (!extension) return undefined;
  const [first, second] = elementsInside(extension.value, 0x30, 'the basic constraints');
  const flag = first?.tag === 0x01 ? first : undefined;
  const length = flag ? second : first;
  const authority = flag?.content.some((octet) => octet !== 0) ?? false;
  if (!length) return { authority };
  return {
    authority,
    pathLength: contentOf(length, 0x02, 'the path length').reduce((sum, octet) => sum * 256 + octet, 0),
  };
}

/** Key identifiers, as hints for finding an issuer: nothing is believed because of them. */
export function keyIdsOf(certificate: TpmCertificate): { subject?: string; authority?: string } {
  const subject = certificate.extensions.get(extensionOid.subjectKeyId);
  const authority = certificate.extensions.get(extensionOid.authorityKeyId);
  const found: { subject?: string; authority?: string } = {};
  if (subject) found.subject = hex(elementsOf(subject.value)[0]?.content);
  const keyId =
    authority && elementsInside(authority.value, 0x30, 'the authority key').find(({ tag }) => tag === 0x80);
  if (keyId) found.authority = hex(keyId.content);
  return found;
}

/** Refuses conditions that are not understood. */
export function checkCritical(certificate: TpmCertificate, understood: readonly string[]): void {
  for (const [oid, { critical }] of certificate.extensions) {
    if (!critical || understood.includes(oid)) continue;
    const message = `the certificate has the critical extension ${oid}, which is not understood`;
    throw new TouchmarkError('ek_certificate_critical', message);
  }
}

function hex(bytes: Uint8Array | undefined): string {
  return Buffer.from(bytes ?? []).toString('hex');
}
