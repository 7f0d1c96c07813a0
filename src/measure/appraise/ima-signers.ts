import { createHash, createPublicKey, type KeyObject, X509Certificate } from 'node:crypto';
import { enterWhole, expect, readBits, tag } from '../../x509/der.js';
import { type PemBlock, readPem } from '../../x509/pem.js';
import { readCertificate } from '../../x509/read-certificate.js';
import type { ImaFileDigest } from '../ima/ima-template.js';
import type { ReferenceSet } from '../policy/model.js';
import { hex, latin1 } from './digest-text.js';
import { isSignedFile } from './ima-signature.js';

/** Who may sign files. */
export interface FileSigners {
  /** Whether one of them signed this digest with this `security.ima`. Asked again, it remembers. */
  hasSigned(file: ImaFileDigest, signature: Uint8Array): boolean;
  /** Whether these bytes are the certificate of a signer, or its bare key. */
  isSigner(der: Uint8Array): boolean;
}

interface Signer {
  readonly key: KeyObject;
  readonly spki: Uint8Array;
  readonly keyIds: readonly string[];
}

/** Signatures whose result is kept: a fleet runs the same files, and one check takes up to a millisecond. */
const MAX_REMEMBERED = 65_536;

/** What cannot be read as a key signs nothing: the check of reference sets refuses it with a reason. */
export function fileSigners(sets: readonly ReferenceSet[]): FileSigners {
  const blocks = [...new Set(sets.flatMap(({ fileSigners }) => fileSigners))].flatMap(blocksOf);
  const signers = blocks.flatMap((block) => readSigner(block) ?? []);
  const known = new Set(signers.map(({ spki }) => hex(spki)));
  const byKeyId = (keyId: string) =>
    signers.filter(({ keyIds }) => keyIds.includes(keyId)).map(({ key }) => key);
  return {
    hasSigned: remembered((file, signature) => isSignedFile(file, signature, byKeyId)),
    isSigner: (der) => {
      if (known.size === 0) return false;
      const shown = readSigner({ label: 'CERTIFICATE', der }) ?? readSigner({ label: 'PUBLIC KEY', der });
      return shown !== undefined && known.has(hex(shown.spki));
    },
  };
}

type Check = (file: ImaFileDigest, signature: Uint8Array) => boolean;

function remembered(check: Check): Check {
  const results = new Map<string, boolean>();
  return (file, signature) => {
    const key = `${file.of}:${file.algorithm}:${latin1(file.digest)}${latin1(signature)}`;
    const known = results.get(key);
    if (known !== undefined) return known;
    if (results.size >= MAX_REMEMBERED) results.clear();
    const result = check(file, signature);
    results.set(key, result);
    return result;
  };
}

function blocksOf(pem: string): PemBlock[] {
  try {
    return readPem(pem);
  } catch {
    return [];
  }
}

function readSigner({ label, der }: PemBlock): Signer | undefined {
  try {
    const certificate = label === 'CERTIFICATE' ? new X509Certificate(der) : undefined;
    const key =
      certificate?.publicKey ?? createPublicKey({ key: Buffer.from(der), format: 'der', type: 'spki' });
    const spki = key.export({ format: 'der', type: 'spki' });
    return { key, spki, keyIds: [...subjectKeyId(certificate), keyHash(spki)].map((id) => id.slice(-8)) };
  } catch {
    return undefined;
  }
}

function subjectKeyId(certificate: X509Certificate | undefined): string[] {
  if (!certificate) return [];
  try {
    const { subjectKeyId: id } = readCertificate(certificate.raw);
    return id ? [hex(id)] : [];
  } catch {
    return []; // a certificate that is odd in other ways: the key's hash is left
  }
}

/** SHA-1 of the key's bits: the identifier of a key without a certificate, and of most with one. */
function keyHash(spki: Uint8Array): string {
  const from = enterWhole(spki, tag.sequence, 'the public key');
  expect(from, tag.sequence, 'the key algorithm');
  return createHash('sha1').update(readBits(from, 'the public key')).digest('hex');
}
