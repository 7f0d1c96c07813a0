import { createHash, createPublicKey, type KeyObject, X509Certificate } from 'node:crypto';
import { enterWhole, expect, readBits, tag } from '../../x509/der.js';
import { type PemBlock, readPem } from '../../x509/pem.js';
import { readCertificate } from '../../x509/read-certificate.js';
import type { ReferenceSet } from '../policy/model.js';
import { hex } from './digest-text.js';

/** Who may sign files. */
export interface FileSigners {
  /** Keys that may have this identifier (8 hex digits), as `security.ima` shortens it. An identifier proves nothing. */
  byKeyId(keyId: string): readonly KeyObject[];
  /** Whether these bytes are the certificate of a signer, or its bare key. */
  isSigner(der: Uint8Array): boolean;
}

interface Signer {
  readonly key: KeyObject;
  readonly spki: Uint8Array;
  readonly keyIds: readonly string[];
}

/** What cannot be read as a key signs nothing: the check of reference sets refuses it with a reason. */
export function fileSigners(sets: readonly ReferenceSet[]): FileSigners {
  const blocks = [...new Set(sets.flatMap(({ fileSigners }) => fileSigners))].flatMap(blocksOf);
  const signers = blocks.flatMap((block) => readSigner(block) ?? []);
  const known = new Set(signers.map(({ spki }) => hex(spki)));
  return {
    byKeyId: (keyId) => signers.filter(({ keyIds }) => keyIds.includes(keyId)).map(({ key }) => key),
    isSigner: (der) => {
      if (known.size === 0) return false;
      const shown = readSigner({ label: 'CERTIFICATE', der }) ?? readSigner({ label: 'PUBLIC KEY', der });
      return shown !== undefined && known.has(hex(shown.spki));
    },
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
