import { TouchmarkError } from '../errors.js';
import {
  alg,
  type CurveName,
  curveById,
  curveByName,
  type HashName,
  hashById,
  hashByName,
  hex16,
} from './algorithms.js';
import { type Reader, readerOf } from './reader.js';
import { join, sized, u16, u32 } from './writer.js';

/** A TPMT_PUBLIC (TPM 2.0 Part 2, 12.2.4) of an RSA or an elliptic-curve key. */
export type TpmPublic = RsaPublic | EccPublic;

interface PublicBase {
  nameAlg: HashName;
  /** TPMA_OBJECT; bits in attributes.ts. */
  attributes: number;
  /** authPolicy digest; empty for none. */
  policy: Uint8Array;
  /** `null` is TPM_ALG_NULL: what a key that is not a storage parent has. */
  symmetric: SymmetricScheme | null;
  /** `null` is TPM_ALG_NULL: the signer may choose. */
  scheme: SigningScheme | null;
}

export interface RsaPublic extends PublicBase {
  type: 'rsa';
  bits: number;
  /** As it is written: 0 stands for 65537. */
  exponent: number;
  /** `unique`: empty in a template. */
  modulus: Uint8Array;
}

export interface EccPublic extends PublicBase {
  type: 'ecc';
  curve: CurveName;
  /** `unique`: empty or anything in a template. */
  x: Uint8Array;
  y: Uint8Array;
}

export interface SymmetricScheme {
  algorithm: 'aes';
  bits: number;
  mode: 'cfb';
}

export interface SigningScheme {
  algorithm: 'rsassa' | 'rsapss' | 'ecdsa';
  hash: HashName;
}

const MAX_DIGEST = 64;
const MAX_MODULUS = 512;
const MAX_COORDINATE = 66;

/**
 * Reads a TPMT_PUBLIC without its TPM2B size. Exactly one structure: nothing may follow.
 * Does NOT establish that the point lies on its curve or that the key is good for anything.
 */
export function parsePublic(bytes: Uint8Array): TpmPublic {
  const reader = readerOf(bytes, 'TPMT_PUBLIC');
  const type = reader.u16();
  const base = {
    nameAlg: hashById(reader.u16()).name,
    attributes: reader.u32(),
    policy: reader.sized(MAX_DIGEST),
  };
  const symmetric = readSymmetric(reader);
  const scheme = readScheme(reader);
  const key = type === alg.rsa ? readRsa(reader) : readEcc(reader, type);
  reader.end();
  return { ...base, symmetric, scheme, ...key };
}

/** Reads a TPM2B_PUBLIC, as ESYS and NV give it. */
export function parseSizedPublic(bytes: Uint8Array): TpmPublic {
  const reader = readerOf(bytes, 'TPM2B_PUBLIC');
  const content = reader.sized(0xffff);
  reader.end();
  return parsePublic(content);
}

/** Writes a TPMT_PUBLIC without its TPM2B size: the only encoding of it, over which its Name is computed. */
export function serialisePublic(key: TpmPublic): Uint8Array {
  return join(
    u16(alg[key.type]),
    u16(hashByName(key.nameAlg).id),
    u32(key.attributes),
    sized(key.policy),
    key.symmetric ? join(u16(alg.aes), u16(key.symmetric.bits), u16(alg.cfb)) : u16(alg.null),
    key.scheme ? join(u16(alg[key.scheme.algorithm]), u16(hashByName(key.scheme.hash).id)) : u16(alg.null),
    key.type === 'rsa'
      ? join(u16(key.bits), u32(key.exponent), sized(key.modulus))
      : join(u16(curveByName(key.curve).id), u16(alg.null), sized(key.x), sized(key.y)),
  );
}

function readSymmetric(reader: Reader): SymmetricScheme | null {
  const id = reader.u16();
  if (id === alg.null) return null;
  const bits = reader.u16();
  const mode = reader.u16();
  if (id !== alg.aes || mode !== alg.cfb || ![128, 192, 256].includes(bits)) {
    throw unsupported(`symmetric scheme ${hex16(id)}, ${bits} bits, mode ${hex16(mode)}`);
  }
  return { algorithm: 'aes', bits, mode: 'cfb' };
}

const signingSchemes: readonly SigningScheme['algorithm'][] = ['rsassa', 'rsapss', 'ecdsa'];

function readScheme(reader: Reader): SigningScheme | null {
  const id = reader.u16();
  if (id === alg.null) return null;
  const algorithm = signingSchemes.find((name) => alg[name] === id);
  if (!algorithm) throw unsupported(`signing scheme ${hex16(id)}`);
  return { algorithm, hash: hashById(reader.u16()).name };
}

function readRsa(reader: Reader): Pick<RsaPublic, 'type' | 'bits' | 'exponent' | 'modulus'> {
  return { type: 'rsa', bits: reader.u16(), exponent: reader.u32(), modulus: reader.sized(MAX_MODULUS) };
}

function readEcc(reader: Reader, type: number): Pick<EccPublic, 'type' | 'curve' | 'x' | 'y'> {
  if (type !== alg.ecc) throw unsupported(`key type ${hex16(type)}`);
  const curve = curveById(reader.u16()).name;
  const kdf = reader.u16();
  if (kdf !== alg.null) throw unsupported(`key derivation scheme ${hex16(kdf)}`);
  return { type: 'ecc', curve, x: reader.sized(MAX_COORDINATE), y: reader.sized(MAX_COORDINATE) };
}

function unsupported(what: string): TouchmarkError {
  return new TouchmarkError('tpm_algorithm_unsupported', `TPMT_PUBLIC has ${what}, which is not supported`);
}
