/** The JSON of SPIRE's `x509pop` attestor, read strictly; byte strings are base64. */
import { TouchmarkError } from '../../errors.js';

export const x509popLimits = { certificates: 5, certificateBytes: 16 * 1024, answerBytes: 8 * 1024 } as const;

export type PopKind = 'rsa_signature' | 'ecdsa_signature';

export interface RsaAnswer {
  readonly nonce: Buffer;
  readonly signature: Buffer;
}

export interface EcdsaAnswer {
  readonly nonce: Buffer;
  readonly r: Buffer;
  readonly s: Buffer;
}

/** @returns DER, leaf first. @throws TouchmarkError `x509pop_refused` */
export function readPopPayload(payload: Uint8Array): Buffer[] {
  const most = x509popLimits.certificates * x509popLimits.certificateBytes * 2;
  const { certificates } = parseObject(payload, most, 'payload');
  if (!Array.isArray(certificates) || certificates.length === 0)
    throw refused('the payload holds no certificates');
  if (certificates.length > x509popLimits.certificates) {
    throw refused(
      `the payload holds ${certificates.length} certificates; at most ${x509popLimits.certificates} are read`,
    );
  }
  return certificates.map((text) =>
    bytesOf({ certificate: text }, 'certificate', x509popLimits.certificateBytes),
  );
}

export function writePopChallenge(kind: PopKind, nonce: Uint8Array): Uint8Array {
  const both = { rsa_signature: null, ecdsa_signature: null };
  const challenge = { ...both, [kind]: { nonce: Buffer.from(nonce).toString('base64') } };
  return Buffer.from(JSON.stringify(challenge));
}

/** @throws TouchmarkError `x509pop_refused` */
export function readRsaAnswer(answer: Uint8Array): RsaAnswer {
  const part = partOf(answer, 'rsa_signature');
  return { nonce: bytesOf(part, 'nonce', 64), signature: bytesOf(part, 'signature', 1024) };
}

/** @throws TouchmarkError `x509pop_refused` */
export function readEcdsaAnswer(answer: Uint8Array): EcdsaAnswer {
  const part = partOf(answer, 'ecdsa_signature');
  return { nonce: bytesOf(part, 'nonce', 64), r: bytesOf(part, 'r', 66), s: bytesOf(part, 's', 66) };
}

function partOf(answer: Uint8Array, kind: PopKind): Record<string, unknown> {
  const part = parseObject(answer, x509popLimits.answerBytes, 'answer')[kind];
  if (typeof part === 'object' && part !== null) return part as Record<string, unknown>;
  throw refused(`the answer holds no ${kind}`);
}

function parseObject(bytes: Uint8Array, most: number, what: string): Record<string, unknown> {
  if (bytes.length > most) throw refused(`the ${what} has ${bytes.length} bytes; at most ${most} are read`);
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'));
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return value as Record<string, unknown>;
  } catch {
    // Said below: the parser's own message would quote the peer's bytes.
  }
  throw refused(`the ${what} is not a JSON object`);
}

function bytesOf(part: Record<string, unknown>, name: string, most: number): Buffer {
  const text = part[name];
  if (typeof text !== 'string' || !/^[A-Za-z0-9+/]*={0,2}$/.test(text))
    throw refused(`${name} is not base64`);
  const bytes = Buffer.from(text, 'base64');
  if (bytes.length > most) throw refused(`${name} has ${bytes.length} bytes; at most ${most} are read`);
  return bytes;
}

export function refused(message: string): TouchmarkError {
  return new TouchmarkError('x509pop_refused', message);
}
