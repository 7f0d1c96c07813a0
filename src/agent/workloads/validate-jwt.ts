import { TouchmarkError } from '../../errors.js';
import { parseTrustDomain } from '../../spiffe/id.js';
import type { JsonValue } from '../../spiffe/json.js';
import type { JwtSvid } from '../../spiffe/jwt-svid.js';
import { verifyJwtSvid } from '../../spiffe/verify-jwt-svid.js';
import type { BundleUpdate } from './deliver.js';

/**
 * Checks a token for a workload, with the bundles that this workload may see.
 * Does not establish who presented it: it is a bearer token.
 * @throws TouchmarkError `jwt_svid_invalid`; an unknown trust domain counts as that too
 */
export function validateJwt(token: string, audience: string, bundles: BundleUpdate, now: number): JwtSvid {
  const bundleOf = (domain: string) =>
    domain === bundles.own.trustDomain ? bundles.own : bundles.federated.get(parseTrustDomain(domain));
  try {
    return verifyJwtSvid(token, { audience, bundles: bundleOf, now });
  } catch (cause) {
    if (!(cause instanceof TouchmarkError)) throw cause;
    throw new TouchmarkError('jwt_svid_invalid', cause.message, { cause });
  }
}

/** The claims as google.protobuf.Struct carries them: numbers are doubles, `aud` is always a list. */
export function claimsOf(svid: JwtSvid): Record<string, unknown> {
  const claims = Object.entries(svid.claims).map(([name, value]) => [name, plain(value)]);
  return { ...Object.fromEntries(claims), aud: [...svid.audience] };
}

function plain(value: JsonValue): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([name, child]) => [name, plain(child)]));
  }
  return value;
}
