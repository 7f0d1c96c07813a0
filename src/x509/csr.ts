import type { KeyObject } from 'node:crypto';
import { TouchmarkError } from '../errors.js';
import {
  atEnd,
  bitString,
  type DerReader,
  enter,
  enterWhole,
  expect,
  expectEnd,
  oid,
  readBits,
  reader,
  readSmall,
  sequence,
  tag,
  tlv,
  unsignedInteger,
} from './der.js';
import { subjectAltName } from './extensions.js';
import { emptyName } from './name.js';
import { oidHex } from './oid.js';
import { type AltNames, noAltNames, readAltNames, readExtensions } from './read-extensions.js';
import { signDer, signingSchemeOf, verifyDer } from './signature.js';
import { exportSpki, importSpki, type KeyKind, readSpki } from './spki.js';

/** A certificate signing request whose own signature is good: whoever made it held the private key. Nothing else in it is proven. */
export interface Csr extends AltNames {
  /** SubjectPublicKeyInfo, DER: goes into the certificate byte for byte. */
  readonly spki: Uint8Array;
  readonly publicKey: KeyObject;
  readonly keyKind: KeyKind;
  readonly keyBits: number;
  readonly subjectDer: Uint8Array;
}

const MAX_CSR_BYTES = 16 * 1024;
const extensionRequest = oid('1.2.840.113549.1.9.14');

/**
 * Reads a PKCS#10 request (RFC 2986) of at most 16 KiB and verifies its self-signature. Keys: P-256, P-384, RSA-2048 to 4096.
 * Does not establish that its maker may have the names in it.
 * @throws TouchmarkError `csr_invalid`, `key_unsupported`
 */
export function readCsr(der: Uint8Array): Csr {
  if (der.length > MAX_CSR_BYTES) {
    throw new TouchmarkError('csr_invalid', `the signing request is longer than ${MAX_CSR_BYTES} bytes`);
  }
  try {
    return parseAndVerify(der);
  } catch (cause) {
    if (
      !(cause instanceof TouchmarkError) ||
      cause.code === 'key_unsupported' ||
      cause.code === 'csr_invalid'
    )
      throw cause;
    throw new TouchmarkError('csr_invalid', `the signing request is not well formed: ${cause.message}`, {
      cause,
    });
  }
}

/** Builds a request signed with `key`; the subject is empty, since nobody reads it. */
export function buildCsr(request: {
  readonly key: KeyObject;
  readonly uris?: readonly string[];
  readonly dnsNames?: readonly string[];
}): Buffer {
  const { key, uris = [], dnsNames = [] } = request;
  const names = uris.length + dnsNames.length > 0 ? [requestExtensions(uris, dnsNames)] : [];
  const info = sequence(
    unsignedInteger(Uint8Array.of(0)),
    emptyName,
    exportSpki(key),
    tlv(tag.constructed(0), ...names),
  );
  return sequence(info, signingSchemeOf(key).identifier, bitString(signDer(info, key)));
}

function parseAndVerify(der: Uint8Array): Csr {
  const outer = enterWhole(der, tag.sequence, 'the signing request');
  const info = expect(outer, tag.sequence, 'the signed part');
  const algorithm = expect(outer, tag.sequence, 'the signature algorithm').raw;
  const signature = readBits(outer, 'the signature');
  expectEnd(outer, 'the signing request');
  const { subjectDer, spki, names } = readInfo(reader(info.content));
  const { kind, bits } = readSpki(spki);
  const publicKey = importSpki(spki);
  if (!verifyDer(algorithm, info.raw, publicKey, signature)) {
    throw new TouchmarkError('csr_invalid', 'the signature of the signing request is not good');
  }
  return { spki, publicKey, keyKind: kind, keyBits: bits, subjectDer, ...names };
}

function readInfo(info: DerReader): { subjectDer: Uint8Array; spki: Uint8Array; names: AltNames } {
  const version = readSmall(info, 'the version');
  if (version !== 0) throw new TouchmarkError('csr_invalid', `the signing request is of version ${version}`);
  const subjectDer = expect(info, tag.sequence, 'the subject').raw;
  const spki = expect(info, tag.sequence, 'the public key').raw;
  const names = atEnd(info) ? noAltNames : readAttributes(enter(info, tag.constructed(0), 'the attributes'));
  expectEnd(info, 'the signed part');
  return { subjectDer, spki, names };
}

function readAttributes(attributes: DerReader): AltNames {
  let names: AltNames | undefined;
  while (!atEnd(attributes)) {
    const attribute = enter(attributes, tag.sequence, 'an attribute');
    const type = Buffer.from(expect(attribute, tag.oid, 'an attribute type').content).toString('hex');
    const values = enter(attribute, tag.set, 'the values of an attribute');
    expectEnd(attribute, 'an attribute');
    if (type !== oidHex.extensionRequest) continue;
    if (names !== undefined) throw new TouchmarkError('csr_invalid', 'extensions are requested twice');
    names = readRequestedNames(values);
  }
  return names ?? noAltNames;
}

function readRequestedNames(values: DerReader): AltNames {
  const extensions = readExtensions(enter(values, tag.sequence, 'the requested extensions'));
  expectEnd(values, 'the requested extensions');
  const names = extensions.get(oidHex.subjectAltName);
  return names === undefined ? noAltNames : readAltNames(names.value);
}

function requestExtensions(uris: readonly string[], dnsNames: readonly string[]): Buffer {
  return sequence(extensionRequest, tlv(tag.set, sequence(subjectAltName(uris, dnsNames, false))));
}
