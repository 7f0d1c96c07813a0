import { createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import type { PlainKey } from '../../src/tpm/spki.js';
import { spkiOf } from '../../src/tpm/spki.js';
import {
  bitString,
  derNull,
  octetString,
  oid,
  sequence,
  tag,
  text,
  tlv,
  unsignedInteger,
} from '../../src/x509/der.js';
import {
  basicConstraints,
  extension,
  extensionList,
  keyUsage,
  keyUsageBit,
} from '../../src/x509/extensions.js';
import { encodeName } from '../../src/x509/name.js';
import { writePem } from '../../src/x509/pem.js';
import { encodeTime } from '../../src/x509/time.js';

/** A vendor's certificate authority, made for a test: issues EK certificates, good ones and odd ones. */
export interface EkAuthority {
  der: Buffer;
  pem: string;
  name: Buffer;
  key: KeyObject;
  issue(key: PlainKey, options?: EkCertificateOptions): Buffer;
  /** An authority below this one. */
  subordinate(name: string, options?: AuthorityOptions): EkAuthority;
}

export interface AuthorityOptions {
  algorithm?: 'ec' | 'rsa';
  pathLength?: number;
  authority?: boolean;
  keyUsage?: number;
  notAfter?: number;
  extra?: readonly Buffer[];
}

export interface EkCertificateOptions extends CertificateParts {
  manufacturer?: string;
  model?: string;
  version?: string;
  /** `separate` relative names as swtpm, one `multi`-valued as Nuvoton, or no subject alternative name. */
  san?: 'separate' | 'multi' | 'none';
  sanCritical?: boolean;
  /** Dotted; empty for none. */
  usages?: readonly string[];
  /** One octet; `null` for no extension. */
  keyUsage?: number | null;
  authority?: boolean | null;
  extra?: readonly Buffer[];
}

interface CertificateParts {
  serial?: Buffer;
  /** Unix seconds. */
  notBefore?: number;
  notAfter?: number;
  subject?: Buffer;
  spki?: Uint8Array;
  /** Other bytes as the signature. */
  signature?: Buffer;
  hash?: 'sha1' | 'sha256' | 'sha384' | 'sha512';
}

const START = Date.UTC(2026, 0, 1) / 1000;
const END = Date.UTC(2046, 0, 1) / 1000;

const algorithms = {
  ec: {
    sha1: '1.2.840.10045.4.1',
    sha256: '1.2.840.10045.4.3.2',
    sha384: '1.2.840.10045.4.3.3',
    sha512: '1.2.840.10045.4.3.4',
  },
  rsa: {
    sha1: '1.2.840.113549.1.1.5',
    sha256: '1.2.840.113549.1.1.11',
    sha384: '1.2.840.113549.1.1.12',
    sha512: '1.2.840.113549.1.1.13',
  },
} as const;

export function createEkAuthority(name = 'Test TPM Root', options: AuthorityOptions = {}): EkAuthority {
  return makeAuthority(name, options);
}

function makeAuthority(
  name: string,
  options: AuthorityOptions,
  issuer?: { name: Buffer; key: KeyObject },
): EkAuthority {
  const pair = newPair(options.algorithm ?? 'ec');
  const own = encodeName({ commonName: name });
  const spki = pair.publicKey.export({ format: 'der', type: 'spki' });
  const der = certificate(issuer ?? { name: own, key: pair.privateKey }, {
    subject: own,
    spki,
    notAfter: options.notAfter ?? END,
    extensions: [
      basicConstraints(options.authority ?? true, options.pathLength),
      keyUsage(options.keyUsage ?? keyUsageBit.keyCertSign),
      ...(options.extra ?? []),
    ],
  });
  const self = { name: own, key: pair.privateKey };
  return {
    der,
    pem: writePem('CERTIFICATE', der),
    ...self,
    issue: (key, ekOptions = {}) => ekCertificate(self, key, ekOptions),
    subordinate: (child, childOptions = {}) => makeAuthority(child, childOptions, self),
  };
}

function newPair(algorithm: 'ec' | 'rsa'): { publicKey: KeyObject; privateKey: KeyObject } {
  if (algorithm === 'rsa') return generateKeyPairSync('rsa', { modulusLength: 2048 });
  return generateKeyPairSync('ec', { namedCurve: 'P-256' });
}

function ekCertificate(
  issuer: { name: Buffer; key: KeyObject },
  key: PlainKey,
  options: EkCertificateOptions,
): Buffer {
  const fitting = key.type === 'rsa' ? keyUsageBit.keyEncipherment : keyUsageBit.keyAgreement;
  const { san = 'separate', usages = ['2.23.133.8.1'], authority = false } = options;
  const extensions = [
    ...(san === 'none' ? [] : [tpmName(options, san === 'multi')]),
    ...(authority === null ? [] : [basicConstraints(authority)]),
    ...(options.keyUsage === null ? [] : [keyUsage(options.keyUsage ?? fitting)]),
    ...(usages.length === 0 ? [] : [extension(oid('2.5.29.37'), false, sequence(...usages.map(oid)))]),
    ...(options.extra ?? []),
  ];
  return certificate(issuer, { subject: sequence(), spki: spkiOf(key), ...options, extensions });
}

/** Subject alternative name with the TCG's attributes of a TPM. */
function tpmName(options: EkCertificateOptions, multi: boolean): Buffer {
  const { manufacturer = 'id:54455354', model = 'soft', version = 'id:00010002' } = options;
  const values = [
    ['2.23.133.2.1', manufacturer],
    ['2.23.133.2.2', model],
    ['2.23.133.2.3', version],
  ] as const;
  const attributes = values.map(([id, value]) => sequence(oid(id), text(tag.utf8String, value)));
  const names = multi ? [tlv(tag.set, ...attributes)] : attributes.map((one) => tlv(tag.set, one));
  const directory = tlv(0xa4, sequence(...names));
  return extension(oid('2.5.29.17'), options.sanCritical ?? true, sequence(directory));
}

function certificate(
  issuer: { name: Buffer; key: KeyObject },
  parts: CertificateParts & { extensions: readonly Buffer[] },
): Buffer {
  const type = issuer.key.asymmetricKeyType === 'rsa' ? 'rsa' : 'ec';
  const hash = parts.hash ?? 'sha256';
  const algorithm = sequence(oid(algorithms[type][hash]), ...(type === 'rsa' ? [derNull] : []));
  const tbs = sequence(
    tlv(tag.constructed(0), unsignedInteger(Uint8Array.of(2))),
    parts.serial ?? unsignedInteger(Uint8Array.of(7)),
    algorithm,
    issuer.name,
    sequence(encodeTime(parts.notBefore ?? START), encodeTime(parts.notAfter ?? END)),
    parts.subject ?? sequence(),
    parts.spki ?? sequence(),
    tlv(tag.constructed(3), extensionList(...parts.extensions)),
  );
  const signature = parts.signature ?? sign(hash, tbs, issuer.key);
  return sequence(tbs, algorithm, bitString(signature));
}

/** A critical extension that nobody understands. */
export function unknownCritical(): Buffer {
  return extension(oid('1.2.3.4.5'), true, octetString(Buffer.from('x')));
}

/** The plain key of a node:crypto key. */
export function plainKeyFrom(key: KeyObject): PlainKey {
  const jwk = createPublicKey(
    key.export({ format: 'pem', type: key.type === 'private' ? 'pkcs8' : 'spki' }),
  ).export({ format: 'jwk' });
  const bytes = (value: string | undefined): Uint8Array =>
    new Uint8Array(Buffer.from(value ?? '', 'base64url'));
  if (jwk.kty === 'RSA') return { type: 'rsa', modulus: bytes(jwk.n), exponent: 65537 };
  const curve = jwk.crv === 'P-384' ? 'P-384' : jwk.crv === 'P-521' ? 'P-521' : 'P-256';
  return { type: 'ecc', curve, x: bytes(jwk.x), y: bytes(jwk.y) };
}
