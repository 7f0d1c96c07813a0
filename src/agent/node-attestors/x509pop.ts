import { constants, createPrivateKey, type KeyObject, randomBytes, sign } from 'node:crypto';
import { TouchmarkError } from '../../errors.js';
import { readPemCertificates } from '../../x509/pem.js';
import { readCertificate } from '../../x509/read-certificate.js';
import { exportSpki } from '../../x509/spki.js';
import type { NodeAttestor, NodeAttestorDeps } from './contract.js';

const NONCE_SIZE = 32;
const MAX_CHALLENGE_BYTES = 4096;

/**
 * `x509pop`: proof that a certificate's key is here, in the JSON shapes of SPIRE's attestor: both sides' nonces are hashed
 * together and the hash is signed. The key that gets certified is not part of it: only the channel binds the two.
 */
export function x509popAttestor(
  settings: { readonly certificateFile: string; readonly keyFile: string },
  deps: Pick<NodeAttestorDeps, 'readSecret'>,
): NodeAttestor {
  return {
    type: 'x509pop',
    reattestable: true,
    // Read anew each time, for the certificate may have been replaced.
    async begin() {
      const certificates = readChain(await deps.readSecret(settings.certificateFile, 'certificate'));
      const key = readKey(await deps.readSecret(settings.keyFile, 'private key'), settings.keyFile);
      checkPair(certificates, key, settings);
      const encoded = certificates.map((der) => Buffer.from(der).toString('base64'));
      const payload = Buffer.from(JSON.stringify({ certificates: encoded }));
      return {
        payload,
        answer: async (challenge) => ({ response: respond(challenge, key), approvalCode: '' }),
      };
    },
    async [Symbol.asyncDispose]() {},
  };
}

function readChain(file: Uint8Array): Uint8Array[] {
  return readPemCertificates(Buffer.from(file).toString('utf8'));
}

function readKey(file: Uint8Array, name: string): KeyObject {
  try {
    return createPrivateKey(Buffer.from(file));
  } catch {
    throw new TouchmarkError('node_secret_missing', `${name} holds no private key in PEM`);
  }
}

function checkPair(
  certificates: readonly Uint8Array[],
  key: KeyObject,
  files: { readonly certificateFile: string; readonly keyFile: string },
): void {
  const leaf = readCertificate(certificates[0] ?? new Uint8Array());
  if (Buffer.compare(leaf.spki, exportSpki(key)) === 0) return;
  const message = `the key in ${files.keyFile} is not that of the certificate in ${files.certificateFile}`;
  throw new TouchmarkError('node_attestation_failed', message);
}

function respond(challenge: Uint8Array, key: KeyObject): Uint8Array {
  const kind = key.asymmetricKeyType === 'rsa' ? 'rsa_signature' : 'ecdsa_signature';
  const theirs = readNonce(challenge, kind);
  const nonce = randomBytes(NONCE_SIZE);
  const both = Buffer.concat([theirs, nonce]);
  const own = { nonce: nonce.toString('base64') };
  const signature = kind === 'rsa_signature' ? signRsa(both, key) : signEcdsa(both, key);
  return Buffer.from(JSON.stringify({ [kind]: { ...own, ...signature } }));
}

/** The hash over both nonces is what is signed: SHA-256 by whoever signs. */
function signRsa(data: Uint8Array, key: KeyObject): Record<string, string> {
  const padding = constants.RSA_PKCS1_PSS_PADDING;
  const saltLength = constants.RSA_PSS_SALTLEN_MAX_SIGN;
  return { signature: sign('sha256', data, { key, padding, saltLength }).toString('base64') };
}

function signEcdsa(data: Uint8Array, key: KeyObject): Record<string, string> {
  const both = sign('sha256', data, { key, dsaEncoding: 'ieee-p1363' });
  const half = both.length / 2;
  return { r: both.subarray(0, half).toString('base64'), s: both.subarray(half).toString('base64') };
}

function readNonce(challenge: Uint8Array, kind: string): Uint8Array {
  if (challenge.length > MAX_CHALLENGE_BYTES) throw senseless(`is longer than ${MAX_CHALLENGE_BYTES} bytes`);
  let parsed: unknown;
  try {
    parsed = JSON.parse(Buffer.from(challenge).toString('utf8'));
  } catch {
    throw senseless('is not JSON');
  }
  const nonce = memberOf(memberOf(parsed, kind), 'nonce');
  const bytes = typeof nonce === 'string' ? Buffer.from(nonce, 'base64') : Buffer.alloc(0);
  if (bytes.length !== NONCE_SIZE) throw senseless(`has no ${kind} with a nonce of ${NONCE_SIZE} bytes`);
  return bytes;
}

function memberOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}

function senseless(why: string): TouchmarkError {
  return new TouchmarkError('node_attestation_failed', `the server's x509pop challenge ${why}`);
}
