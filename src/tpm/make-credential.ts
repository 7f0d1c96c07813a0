import {
  constants,
  createCipheriv,
  createHmac,
  diffieHellman,
  generateKeyPairSync,
  publicEncrypt,
  randomBytes,
} from 'node:crypto';
import { TouchmarkError } from '../errors.js';
import { curveByName, type HashName, hashByName } from './algorithms.js';
import { kdfa, kdfe } from './kdf.js';
import type { EccPublic, RsaPublic, TpmPublic } from './public.js';
import { keyObjectOf, plainKeyOf } from './spki.js';
import { join, padded, sized } from './writer.js';

export interface CredentialRequest {
  /** The endorsement key that was verified: the one whose certificate was checked. */
  ek: TpmPublic;
  /** Name of the key that must live in the same chip. */
  akName: Uint8Array;
  /** At most as long as the digest of the EK's nameAlg. */
  credential: Uint8Array;
}

export interface MadeCredential {
  /** Content of TPM2B_ID_OBJECT: integrity HMAC and encrypted identity. */
  credentialBlob: Uint8Array;
  /** Content of TPM2B_ENCRYPTED_SECRET. */
  encryptedSecret: Uint8Array;
}

/** OAEP labels carry their NUL (TPM 2.0 Part 1, B.4). */
const IDENTITY = Buffer.from('IDENTITY\0');

/**
 * TPM2_MakeCredential without a TPM (TPM 2.0 Part 1, 24). Only the chip that holds the EK, and in it a key of exactly this Name,
 * gets the credential back.
 * Does NOT establish that the EK is genuine or that its public is that of a certificate.
 */
export function makeCredential({ ek, akName, credential }: CredentialRequest): MadeCredential {
  const { nameAlg } = ek;
  if (credential.length > hashByName(nameAlg).size) {
    const message = `a credential of ${credential.length} bytes is longer than the ${nameAlg} digest of the endorsement key`;
    throw new TouchmarkError('credential_too_long', message);
  }
  const { seed, encryptedSecret } = ek.type === 'rsa' ? rsaSeed(ek) : eccSeed(ek);
  const encIdentity = encryptIdentity(ek, seed, akName, credential);
  const outer = integrityOf(nameAlg, seed, encIdentity, akName);
  return { credentialBlob: join(sized(outer), encIdentity), encryptedSecret };
}

/** HMAC over encrypted identity and Name, keyed from the seed; shared with the inverse in tests. */
export function integrityOf(
  nameAlg: HashName,
  seed: Uint8Array,
  encIdentity: Uint8Array,
  akName: Uint8Array,
): Uint8Array {
  const bits = hashByName(nameAlg).size * 8;
  const key = kdfa({ hash: nameAlg, label: 'INTEGRITY', bits }, seed);
  return createHmac(nameAlg, key).update(encIdentity).update(akName).digest();
}

function encryptIdentity(
  ek: TpmPublic,
  seed: Uint8Array,
  akName: Uint8Array,
  credential: Uint8Array,
): Uint8Array {
  if (!ek.symmetric) {
    const message = 'the endorsement key has no symmetric scheme, so it cannot receive credentials';
    throw new TouchmarkError('ek_symmetric', message);
  }
  const { bits } = ek.symmetric;
  const key = kdfa({ hash: ek.nameAlg, label: 'STORAGE', bits }, seed, akName);
  const cipher = createCipheriv(`aes-${bits}-cfb`, key, Buffer.alloc(16));
  return join(cipher.update(sized(credential)), cipher.final());
}

interface Seed {
  seed: Uint8Array;
  encryptedSecret: Uint8Array;
}

function rsaSeed(ek: RsaPublic): Seed {
  const seed = randomBytes(hashByName(ek.nameAlg).size);
  const key = keyObjectOf(plainKeyOf(ek));
  const padding = constants.RSA_PKCS1_OAEP_PADDING;
  try {
    const encryptedSecret = publicEncrypt({ key, padding, oaepHash: ek.nameAlg, oaepLabel: IDENTITY }, seed);
    return { seed, encryptedSecret };
  } catch (cause) {
    throw new TouchmarkError('tpm_key_invalid', 'nothing can be encrypted to the RSA endorsement key', {
      cause,
    });
  }
}

function eccSeed(ek: EccPublic): Seed {
  const { size, openssl } = curveByName(ek.curve);
  const ephemeral = generateKeyPairSync('ec', { namedCurve: openssl });
  const publicKey = keyObjectOf(plainKeyOf(ek));
  const z = diffieHellman({ privateKey: ephemeral.privateKey, publicKey });
  const spki = ephemeral.publicKey.export({ format: 'der', type: 'spki' });
  const [x, y] = [spki.subarray(-2 * size, -size), spki.subarray(-size)];
  const bits = hashByName(ek.nameAlg).size * 8;
  const derivation = { hash: ek.nameAlg, label: 'IDENTITY', bits };
  const seed = kdfe(derivation, padded(z, size), x, padded(ek.x, size));
  return { seed, encryptedSecret: join(sized(x), sized(y)) };
}
