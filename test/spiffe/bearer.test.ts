import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bearerToken, bearerValue } from '../../src/spiffe/bearer.js';
import { throwsCode } from '../support/rejects.js';

test('JS-17: a token travels as Bearer, the scheme in any case, in one header', () => {
  assert.equal(bearerValue('a.b.c'), 'Bearer a.b.c');
  for (const scheme of ['Bearer', 'bearer', 'BEARER'])
    assert.equal(bearerToken([`${scheme} a.b-_.c`]), 'a.b-_.c');
  throwsCode('jwt_svid_invalid', /more than one authorization header/, () =>
    bearerToken(['Bearer a', 'Bearer a']),
  );
  for (const bad of [
    '',
    'a.b.c',
    'Basic a.b.c',
    'Bearer',
    'Bearer ',
    'Bearer  a',
    'Bearer a b',
    'Bearer a,b',
    ' Bearer a',
  ]) {
    throwsCode(
      'jwt_svid_invalid',
      /^there is no bearer token in the authorization header$/,
      () => bearerToken([bad]),
      bad,
    );
  }
  throwsCode('jwt_svid_invalid', /no bearer token/, () => bearerToken([]));
});
