import { TouchmarkError } from '../errors.js';

/** The value of HTTP `Authorization` or gRPC metadata `authorization` that carries a JWT-SVID (JWT-SVID section 5). */
export function bearerValue(token: string): string {
  return `Bearer ${token}`;
}

/**
 * Takes the token out of the values of an authorization header: exactly one value, the scheme in any case. Establishes nothing
 * about the token.
 * @throws TouchmarkError `jwt_svid_invalid`; the value itself never stands in the message
 */
export function bearerToken(values: readonly string[]): string {
  const [value = '', ...more] = values;
  if (more.length > 0)
    throw new TouchmarkError('jwt_svid_invalid', 'there is more than one authorization header');
  const [, token] = /^bearer ([A-Za-z0-9._~+/-]+=*)$/i.exec(value) ?? [];
  if (token === undefined)
    throw new TouchmarkError('jwt_svid_invalid', 'there is no bearer token in the authorization header');
  return token;
}
