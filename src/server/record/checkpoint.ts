/** Checkpoints: the log up to one line, signed by the JWT authority that is active at that moment. Pure. */
import type { KeyObject } from 'node:crypto';
import { TouchmarkError } from '../../errors.js';
import { decodeBase64url } from '../../spiffe/base64url.js';
import { parseJsonObject } from '../../spiffe/json.js';
import { isJwsAlgorithm, jwsSign, jwsVerify, keyFits } from '../../spiffe/jws.js';
import type { JwtSigner } from '../contract.js';

export interface Checkpoint {
  /** `<trust domain>/<id of the log>` */
  readonly server: string;
  /** The line that it is about, and thereby all before it. */
  readonly seq: number;
  readonly hash: string;
  /** Unix milliseconds. */
  readonly at: number;
}

/** One that was read, and not yet verified. */
export interface SignedCheckpoint extends Checkpoint {
  readonly keyId: string;
  readonly algorithm: string;
  readonly jws: string;
}

/** Its own type, which no verifier of JWT-SVIDs takes; and a JWT-SVID is never taken for one. */
const TYPE = 'touchmark-checkpoint+jws';
const MAX_JWS = 8 * 1024;

export function signCheckpoint({ server, seq, hash, at }: Checkpoint, signer: JwtSigner): string {
  const header = { alg: signer.algorithm, kid: signer.id, typ: TYPE };
  const input = `${encode(header)}.${encode({ server, seq, hash, at })}`;
  return `${input}.${jwsSign(signer.algorithm, input, signer.key).toString('base64url')}`;
}

/** Reads the claims. Does NOT establish who signed them. @throws TouchmarkError `record_checkpoint_invalid` */
export function readCheckpoint(jws: string): SignedCheckpoint {
  if (jws.length > MAX_JWS) throw invalid(`has ${jws.length} characters`);
  const parts = jws.split('.');
  if (parts.length !== 3) throw invalid('is not a JWS of three parts');
  const [header, payload] = parts.slice(0, 2).map(decode);
  const { typ, alg, kid } = header ?? {};
  const { server, seq, hash, at } = payload ?? {};
  if (typ !== TYPE) throw invalid('is a JWS of another type');
  if (typeof kid !== 'string' || typeof alg !== 'string') throw invalid('names no key');
  const numbers = typeof seq === 'number' && typeof at === 'number';
  if (typeof server !== 'string' || !numbers || typeof hash !== 'string') throw invalid('lacks a claim');
  return { server, seq, hash, at, keyId: kid, algorithm: alg, jws };
}

/** @throws TouchmarkError `record_checkpoint_invalid` when the key did not sign exactly this */
export function verifyCheckpoint({ jws, algorithm, keyId }: SignedCheckpoint, key: KeyObject): void {
  const end = jws.lastIndexOf('.');
  const signature = decodeBase64url(jws.slice(end + 1));
  if (!isJwsAlgorithm(algorithm) || !keyFits(algorithm, key)) {
    throw invalid(`has an algorithm that the key ${keyId} is not for`);
  }
  if (signature !== undefined && jwsVerify(algorithm, jws.slice(0, end), key, signature)) return;
  throw invalid(`is not signed by the key ${keyId} that it names`);
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function decode(part: string): ReturnType<typeof parseJsonObject> {
  const bytes = decodeBase64url(part);
  if (bytes === undefined) throw invalid('is not base64url');
  try {
    return parseJsonObject(bytes, { maxLength: MAX_JWS });
  } catch {
    throw invalid('does not hold JSON');
  }
}

function invalid(why: string): TouchmarkError {
  return new TouchmarkError('record_checkpoint_invalid', `a checkpoint of the record ${why}`);
}
