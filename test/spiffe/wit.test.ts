import { test } from 'node:test';
import { goodClaims, refuses, token, withHeader } from '../support/jwt-factory.js';

// The WIT-SVID profile is not served (docs/decisions/0002): what is left to hold is that a WIT never passes for a JWT-SVID.

test('WS-04, WS-20, WS-21, D-17, D-18: a WIT is not accepted as a bearer token', () => {
  const jwk = { kty: 'EC', crv: 'P-256', x: 'AA', y: 'AA', alg: 'ES256' };
  const { aud: _aud, ...claims } = goodClaims;
  refuses(
    /type "wit\+jwt" is not JWT/,
    token({ alg: 'ES256', kid: 'k1', typ: 'wit+jwt' }, { ...claims, cnf: { jwk } }),
  );
  refuses(/type "wit\+jwt" is not JWT/, withHeader({ typ: 'wit+jwt' }));
});

test('WS-18: what has no audience, as a WIT, is refused under any type', () => {
  const { aud: _aud, ...claims } = goodClaims;
  refuses(/has no audience/, token({ alg: 'ES256', kid: 'k1', typ: 'JWT' }, claims));
});
