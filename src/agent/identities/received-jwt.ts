import { TouchmarkError } from '../../errors.js';
import type { Bundle } from '../../spiffe/bundle.js';
import type { SpiffeId } from '../../spiffe/id.js';
import { parseJwtSvid } from '../../spiffe/jwt-svid.js';
import { verifyJwtSvid } from '../../spiffe/verify-jwt-svid.js';

export interface ExpectedJwt {
  readonly id: SpiffeId;
  readonly audience: readonly string[];
  readonly bundle: Bundle;
  /** Unix seconds. */
  readonly now: number;
}

export interface ReceivedJwt {
  readonly token: string;
  readonly keyId: string;
  /** Unix seconds, as the token itself says it. */
  readonly expiresAt: number;
}

/**
 * Checks a token that the server issued to us: its subject, its audiences, its end, and its signature where
 * the bundle has the key.
 * A key that the bundle does not have yet is passed: a new key can be used a moment before its bundle arrives here, and the
 * token came over the server's own channel. A key that is tainted is not.
 * @throws TouchmarkError `server_answer_invalid`, `jwt_svid_invalid`
 */
export function checkReceivedJwt(token: string, expected: ExpectedJwt): ReceivedJwt {
  const svid = parseJwtSvid(token);
  const keyId = svid.keyId ?? '';
  if (svid.id !== expected.id)
    throw invalid(`the server sent a token for ${svid.id} instead of ${expected.id}`);
  const missing = expected.audience.find((one) => !svid.audience.includes(one));
  if (missing !== undefined)
    throw invalid(`the server sent a token without audience ${JSON.stringify(missing)}`);
  if (svid.expiresAt <= expected.now) throw invalid('the server sent a token that has expired');
  const authority = expected.bundle.jwtAuthorities.find((one) => one.keyId === keyId);
  if (authority?.tainted === true)
    throw invalid(`the server sent a token signed by the tainted key ${keyId}`);
  if (authority !== undefined) {
    const audience = expected.audience[0] ?? '';
    verifyJwtSvid(token, { audience, bundles: expected.bundle, now: expected.now });
  }
  return { token, keyId, expiresAt: svid.expiresAt };
}

function invalid(message: string): TouchmarkError {
  return new TouchmarkError('server_answer_invalid', message);
}
