import { createPublicKey, type KeyObject } from 'node:crypto';
import { TouchmarkError } from '../errors.js';
import type { JwtAuthority } from './bundle.js';
import { pathOf } from './id.js';
import { jwsVerify, keyFits } from './jws.js';
import { type JwtSvid, jwtLeewaySeconds, parseJwtSvid } from './jwt-svid.js';
import { type BundleSource, bundleFor } from './x509-svid.js';

export interface JwtSvidRules {
  /** The validator's own name; must be an element of `aud`. */
  readonly audience: string;
  /** The bundle, or a look-up by the trust domain of `sub`. */
  readonly bundles: BundleSource;
  /** Unix seconds. */
  readonly now: number;
  /** Accept a subject that is the trust domain itself (decision D-19). */
  readonly allowRootSubject?: boolean;
  /** Without `kid`, try every key that fits the algorithm (decision D-5). */
  readonly allowMissingKeyId?: boolean;
}

/**
 * Validates a JWT-SVID (JWT-SVID sections 2-5): form, times, audience, and the signature by a key of the bundle of the subject's
 * own trust domain. Does not establish who presented it (it is a bearer token), nor that it is presented for the first time.
 * @throws TouchmarkError `jwt_svid_invalid`, `bundle_missing`
 */
export function verifyJwtSvid(token: string, rules: JwtSvidRules): JwtSvid {
  const svid = parseJwtSvid(token);
  if (pathOf(svid.id) === '' && rules.allowRootSubject !== true) {
    throw invalid(`the token's subject ${svid.id} has no path`);
  }
  checkTimes(svid, rules.now);
  if (rules.audience === '' || !svid.audience.includes(rules.audience)) {
    throw invalid(`the token is not for audience ${JSON.stringify(rules.audience.slice(0, 100))}`);
  }
  checkSignature(svid, rules);
  return svid;
}

function checkTimes({ expiresAt, notBefore }: JwtSvid, now: number): void {
  if (now >= expiresAt + jwtLeewaySeconds) throw invalid(`the token expired at ${expiresAt}`);
  if (notBefore !== undefined && now < notBefore - jwtLeewaySeconds) {
    throw invalid(`the token is not valid before ${notBefore}`);
  }
}

function checkSignature(svid: JwtSvid, rules: JwtSvidRules): void {
  const { jwtAuthorities } = bundleFor(svid.id, rules.bundles);
  if (svid.keyId === undefined && rules.allowMissingKeyId !== true) throw invalid('the token has no key ID');
  const candidates = jwtAuthorities.filter(({ keyId }) => svid.keyId === undefined || keyId === svid.keyId);
  if (candidates.length === 0)
    throw invalid(`the bundle has no key ${JSON.stringify(svid.keyId?.slice(0, 64) ?? '')}`);
  const keys = candidates.map(keyOf).filter((key) => keyFits(svid.algorithm, key));
  if (keys.length === 0) throw invalid(`the token's key does not fit algorithm ${svid.algorithm}`);
  if (!keys.some((key) => jwsVerify(svid.algorithm, svid.signingInput, key, svid.signature))) {
    throw invalid("the token's signature is not good");
  }
}

const keys = new WeakMap<JwtAuthority, KeyObject>();

function keyOf(authority: JwtAuthority): KeyObject {
  const known = keys.get(authority);
  if (known !== undefined) return known;
  const key = createPublicKey({ key: Buffer.from(authority.spki), format: 'der', type: 'spki' });
  keys.set(authority, key);
  return key;
}

function invalid(why: string): TouchmarkError {
  return new TouchmarkError('jwt_svid_invalid', why);
}
