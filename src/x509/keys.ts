import { createPrivateKey, generateKeyPair, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { TouchmarkError } from '../errors.js';

/** The key types that an operator may choose, by SPIRE's names. */
export const keyTypes = ['ec-p256', 'ec-p384', 'rsa-2048', 'rsa-4096'] as const;
export type KeyType = (typeof keyTypes)[number];

const generate = promisify(generateKeyPair);

/** Makes a private key off the event loop: an RSA key of 4096 bits takes seconds. */
export async function generateKey(type: KeyType): Promise<KeyObject> {
  const made =
    type === 'ec-p256' || type === 'ec-p384'
      ? await generate('ec', { namedCurve: type === 'ec-p256' ? 'P-256' : 'P-384' })
      : await generate('rsa', { modulusLength: type === 'rsa-2048' ? 2048 : 4096 });
  return made.privateKey;
}

export function exportPkcs8(key: KeyObject): Buffer {
  return key.export({ format: 'der', type: 'pkcs8' });
}

/** @throws TouchmarkError `key_unsupported`; the key itself never stands in the message */
export function importPkcs8(der: Uint8Array): KeyObject {
  let key: KeyObject;
  try {
    key = createPrivateKey({ key: Buffer.from(der), format: 'der', type: 'pkcs8' });
  } catch {
    throw new TouchmarkError('key_unsupported', 'the private key is not PKCS#8 in DER');
  }
  keyTypeOf(key);
  return key;
}

/** @throws TouchmarkError `key_unsupported` when it is none of `keyTypes` */
export function keyTypeOf(key: KeyObject): KeyType {
  const { namedCurve, modulusLength } = key.asymmetricKeyDetails ?? {};
  if (key.asymmetricKeyType === 'ec' && namedCurve === 'prime256v1') return 'ec-p256';
  if (key.asymmetricKeyType === 'ec' && namedCurve === 'secp384r1') return 'ec-p384';
  if (key.asymmetricKeyType === 'rsa' && modulusLength === 2048) return 'rsa-2048';
  if (key.asymmetricKeyType === 'rsa' && modulusLength === 4096) return 'rsa-4096';
  throw new TouchmarkError('key_unsupported', 'the key is none of ec-p256, ec-p384, rsa-2048 and rsa-4096');
}
