import {
  constants,
  createDecipheriv,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
  privateDecrypt,
  sign,
  timingSafeEqual,
} from 'node:crypto';
import { TouchmarkError } from '../../src/errors.js';
import { curveByName, hashByName } from '../../src/tpm/algorithms.js';
import { attestType, type ClockInfo, TPM_GENERATED } from '../../src/tpm/attest.js';
import { type EkTemplate, ekTemplatePublic } from '../../src/tpm/ek-templates.js';
import { kdfa, kdfe } from '../../src/tpm/kdf.js';
import { integrityOf, type MadeCredential } from '../../src/tpm/make-credential.js';
import { type PcrSelection, serialiseSelections } from '../../src/tpm/pcr.js';
import type { TpmPublic } from '../../src/tpm/public.js';
import { readerOf } from '../../src/tpm/reader.js';
import { serialiseSignature } from '../../src/tpm/signature.js';
import { keyObjectOf } from '../../src/tpm/spki.js';
import { join, padded, sized, u8, u16, u32, u64 } from '../../src/tpm/writer.js';
import { plainKeyFrom } from './ek-authority.js';

/** A key in a software chip: public area and private key. */
export interface SoftwareKey {
  public: TpmPublic;
  privateKey: KeyObject;
}

/** Makes the key that a template asks for; its `unique` becomes the key's own. */
export function createKey(template: TpmPublic): SoftwareKey {
  const pair =
    template.type === 'rsa'
      ? generateKeyPairSync('rsa', { modulusLength: template.bits })
      : generateKeyPairSync('ec', { namedCurve: curveByName(template.curve).openssl });
  const plain = plainKeyFrom(pair.publicKey);
  const { privateKey } = pair;
  if (template.type === 'rsa' && plain.type === 'rsa')
    return { public: { ...template, modulus: plain.modulus }, privateKey };
  if (template.type === 'ecc' && plain.type === 'ecc')
    return { public: { ...template, x: plain.x, y: plain.y }, privateKey };
  throw new Error('the key made is not of the type asked for');
}

export function createEk(template: EkTemplate): SoftwareKey {
  return createKey(ekTemplatePublic(template));
}

/** Inverse of makeCredential, as TPM2_ActivateCredential does it inside a chip. */
export function activate(
  ek: SoftwareKey,
  akName: Uint8Array,
  { credentialBlob, encryptedSecret }: MadeCredential,
): Uint8Array {
  const seed = ek.public.type === 'rsa' ? rsaSeed(ek, encryptedSecret) : eccSeed(ek, encryptedSecret);
  const { nameAlg, symmetric } = ek.public;
  const blob = readerOf(credentialBlob, 'TPMS_ID_OBJECT');
  const outer = blob.sized(64);
  const encIdentity = blob.bytes(blob.left());
  const expected = integrityOf(nameAlg, seed, encIdentity, akName);
  if (outer.length !== expected.length || !timingSafeEqual(outer, expected)) throw refused();
  const bits = symmetric?.bits ?? 128;
  const key = kdfa({ hash: nameAlg, label: 'STORAGE', bits }, seed, akName);
  const decipher = createDecipheriv(`aes-${bits}-cfb`, key, Buffer.alloc(16));
  const reader = readerOf(join(decipher.update(encIdentity), decipher.final()), 'TPM2B_DIGEST');
  return reader.sized(64);
}

function rsaSeed(ek: SoftwareKey, secret: Uint8Array): Uint8Array {
  const oaep = {
    padding: constants.RSA_PKCS1_OAEP_PADDING,
    oaepHash: ek.public.nameAlg,
    oaepLabel: Buffer.from('IDENTITY\0'),
  };
  try {
    return privateDecrypt({ key: ek.privateKey, ...oaep }, secret);
  } catch {
    throw refused();
  }
}

function eccSeed(ek: SoftwareKey, secret: Uint8Array): Uint8Array {
  if (ek.public.type !== 'ecc') throw refused();
  const { nameAlg, curve } = ek.public;
  const reader = readerOf(secret, 'TPMS_ECC_POINT');
  const point = { type: 'ecc', curve, x: reader.sized(66), y: reader.sized(66) } as const;
  const { size } = curveByName(curve);
  const z = padded(diffieHellman({ privateKey: ek.privateKey, publicKey: keyObjectOf(point) }), size);
  const bits = hashByName(nameAlg).size * 8;
  return kdfe(
    { hash: nameAlg, label: 'IDENTITY', bits },
    z,
    padded(point.x, size),
    padded(ek.public.x, size),
  );
}

function refused(): TouchmarkError {
  return new TouchmarkError('tpm_credential_refused', 'the credential was made for another key');
}

/** Every field of a quote as the chip writes it; a hostile one writes what it likes. */
export interface QuoteFields extends ClockInfo {
  magic: number;
  type: number;
  qualifiedSigner: Uint8Array;
  extraData: Uint8Array;
  firmwareVersion: bigint;
  selections: PcrSelection[];
  pcrDigest: Uint8Array;
  /** Bytes that follow. */
  trailing: Uint8Array;
}

export const honestFields = {
  magic: TPM_GENERATED,
  type: attestType.quote,
  trailing: new Uint8Array(),
} as const;

export function serialiseQuote(fields: QuoteFields): Uint8Array {
  return join(
    u32(fields.magic),
    u16(fields.type),
    sized(fields.qualifiedSigner),
    sized(fields.extraData),
    u64(fields.clock),
    u32(fields.resetCount),
    u32(fields.restartCount),
    u8(fields.safe ? 1 : 0),
    u64(fields.firmwareVersion),
    serialiseSelections(fields.selections),
    sized(fields.pcrDigest),
    fields.trailing,
  );
}

/** TPMT_SIGNATURE over bytes, by the scheme fixed in the key. */
export function signWith(key: SoftwareKey, bytes: Uint8Array): Uint8Array {
  const { scheme } = key.public;
  const hash = scheme?.hash ?? 'sha256';
  if (key.public.type === 'ecc') {
    const raw = sign(hash, bytes, { key: key.privateKey, dsaEncoding: 'ieee-p1363' });
    const [r, s] = [raw.subarray(0, raw.length / 2), raw.subarray(raw.length / 2)];
    return serialiseSignature({ algorithm: 'ecdsa', hash, r, s });
  }
  const algorithm = scheme?.algorithm === 'rsapss' ? 'rsapss' : 'rsassa';
  const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
  const value = sign(hash, bytes, { key: key.privateKey, ...(algorithm === 'rsapss' ? pss : {}) });
  return serialiseSignature({ algorithm, hash, value });
}
