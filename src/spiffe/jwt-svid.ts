import type { KeyObject } from 'node:crypto';
import { messageOf, TouchmarkError } from '../errors.js';
import { decodeBase64url } from './base64url.js';
import { parseSpiffeId, pathOf, type SpiffeId } from './id.js';
import { type JsonObject, type JsonValue, parseJsonObject } from './json.js';
import { isJwsAlgorithm, type JwsAlgorithm, jwsSign } from './jws.js';

/** How far clocks may lie apart when `exp` and `nbf` are judged, in seconds. */
export const jwtLeewaySeconds = 60;

/** A JWT-SVID that was read. From `parseJwtSvid` nothing in it is authenticated; from `verifyJwtSvid` all of it is. */
export interface JwtSvid {
  readonly token: string;
  readonly id: SpiffeId;
  readonly audience: readonly string[];
  /** Unix seconds; `notBefore` and `issuedAt` are undefined when the token has none. */
  readonly expiresAt: number;
  readonly notBefore: number | undefined;
  readonly issuedAt: number | undefined;
  readonly algorithm: JwsAlgorithm;
  readonly keyId: string | undefined;
  /** Every claim as it was written; an integer beyond 2^53 is a bigint. */
  readonly claims: JsonObject;
  /** What the signature covers. */
  readonly signingInput: string;
  readonly signature: Uint8Array;
}

export interface JwtSvidClaims {
  readonly sub: SpiffeId;
  /** At least one, none empty. */
  readonly aud: readonly string[];
  /** Unix seconds, integers. */
  readonly iat: number;
  readonly exp: number;
  readonly iss?: string;
  readonly jti?: string;
}

export interface JwtSigner {
  readonly key: KeyObject;
  readonly keyId: string;
  readonly alg: JwsAlgorithm;
}

const MAX_TOKEN_CHARACTERS = 16 * 1024;
const headerMembers: ReadonlySet<string> = new Set(['alg', 'kid', 'typ']);

/**
 * Writes and signs a JWT-SVID (JWT-SVID sections 2 and 3): header alg, kid, typ; integer times; every audience.
 * Does not decide whether the subject may have it.
 * @throws TouchmarkError `jwt_svid_invalid` for claims that may not be issued, among them a subject without a path
 */
export function signJwtSvid(claims: JwtSvidClaims, signer: JwtSigner): string {
  checkClaims(claims);
  const { sub, aud, iat, exp, iss, jti } = claims;
  const payload = {
    ...(iss === undefined ? {} : { iss }),
    sub,
    aud,
    exp,
    iat,
    ...(jti === undefined ? {} : { jti }),
  };
  const header = { alg: signer.alg, kid: signer.keyId, typ: 'JWT' };
  const input = `${encode(header)}.${encode(payload)}`;
  return `${input}.${jwsSign(signer.alg, input, signer.key).toString('base64url')}`;
}

/**
 * Reads a token by the rules of JWT-SVID sections 2 and 3: compact form, `alg` before all else, no header member but alg, kid
 * and typ, no repeated name, strict base64url. Checks neither signature, times nor audience: **nothing is authenticated**.
 * @throws TouchmarkError `jwt_svid_invalid`
 */
export function parseJwtSvid(token: string): JwtSvid {
  if (token.length > MAX_TOKEN_CHARACTERS)
    throw invalid(`the token is longer than ${MAX_TOKEN_CHARACTERS} characters`);
  const parts = token.split('.');
  const [header = '', payload = '', signature = ''] = parts;
  if (parts.length !== 3) throw invalid(`the token has ${parts.length} parts instead of three`);
  const { algorithm, keyId } = readHeader(readPart(header, 'header'));
  const claims = readPart(payload, 'payload');
  const bytes = decodeBase64url(signature);
  if (bytes === undefined || bytes.length === 0)
    throw invalid("the token's signature is empty or not base64url");
  return {
    token,
    id: readSubject(claims['sub']),
    audience: readAudience(claims['aud']),
    expiresAt: readTime(claims, 'exp') ?? missing('exp'),
    notBefore: readTime(claims, 'nbf'),
    issuedAt: readTime(claims, 'iat'),
    algorithm,
    keyId,
    claims,
    signingInput: `${header}.${payload}`,
    signature: bytes,
  };
}

function readHeader(header: JsonObject): { algorithm: JwsAlgorithm; keyId: string | undefined } {
  const { alg, kid, typ } = header;
  if (!isJwsAlgorithm(alg)) throw invalid(`the token's algorithm ${show(alg)} is not allowed`);
  for (const member of Object.keys(header)) {
    if (!headerMembers.has(member)) throw invalid(`the token's header has the member ${show(member)}`);
  }
  if (typ !== undefined && typ !== 'JWT' && typ !== 'JOSE')
    throw invalid(`the token's type ${show(typ)} is not JWT`);
  if (kid !== undefined && (typeof kid !== 'string' || kid === ''))
    throw invalid("the token's key ID is no string");
  return { algorithm: alg, keyId: kid };
}

function readPart(part: string, what: string): JsonObject {
  const bytes = decodeBase64url(part);
  if (bytes === undefined) throw invalid(`the token's ${what} is not base64url`);
  try {
    return parseJsonObject(bytes);
  } catch (cause) {
    throw new TouchmarkError('jwt_svid_invalid', `the token's ${what} is not valid: ${messageOf(cause)}`, {
      cause,
    });
  }
}

function readSubject(sub: JsonValue | undefined): SpiffeId {
  if (typeof sub !== 'string') throw invalid('the token has no subject');
  try {
    return parseSpiffeId(sub);
  } catch (cause) {
    throw new TouchmarkError('jwt_svid_invalid', `the token's subject is not valid: ${messageOf(cause)}`, {
      cause,
    });
  }
}

function readAudience(aud: JsonValue | undefined): readonly string[] {
  const list = typeof aud === 'string' ? [aud] : aud;
  if (!Array.isArray(list) || list.length === 0) throw invalid('the token has no audience');
  const audience: string[] = [];
  for (const value of list) {
    if (typeof value !== 'string' || value === '')
      throw invalid("the token's audience has something else than names");
    audience.push(value);
  }
  return audience;
}

/** NumericDate (RFC 7519 section 2): any finite number of seconds. */
function readTime(claims: JsonObject, name: string): number | undefined {
  const value = claims[name];
  if (value === undefined) return undefined;
  if (typeof value !== 'number') throw invalid(`the token's ${name} is not a time`);
  return value;
}

function checkClaims({ sub, aud, iat, exp }: JwtSvidClaims): void {
  if (pathOf(sub) === '') throw invalid(`the subject ${sub} has no path`);
  if (aud.length === 0 || aud.includes(''))
    throw invalid('a token needs at least one audience, and none that is empty');
  if (!Number.isSafeInteger(iat) || !Number.isSafeInteger(exp))
    throw invalid('the times of a token are whole seconds');
  if (exp <= iat) throw invalid(`the token would expire (${exp}) before it is issued (${iat})`);
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function missing(name: string): never {
  throw invalid(`the token has no ${name}`);
}

/** Hostile values, shortened, for a message. */
function show(value: JsonValue | undefined): string {
  return value === undefined
    ? '(none)'
    : typeof value === 'string'
      ? JSON.stringify(value.slice(0, 64))
      : typeof value;
}

function invalid(why: string): TouchmarkError {
  return new TouchmarkError('jwt_svid_invalid', why);
}
