import { type ErrorRow, row } from './row.js';

/** Error codes of SPIFFE nouns and X.509. */
export const spiffeErrors = {
  // spiffe
  spiffe_id_invalid: row(
    'INVALID_ARGUMENT',
    'Write it as spiffe://trust-domain/path with lower-case domain and plain segments.',
  ),
  trust_domain_invalid: row('INVALID_ARGUMENT', 'Use at most 255 characters out of a-z 0-9 . - _ only.'),
  selector_invalid: row('INVALID_ARGUMENT', 'Write a selector as type:value, for example unix:uid:1000.'),
  x509_svid_invalid: row(
    'INVALID_ARGUMENT',
    'Present a leaf certificate with one spiffe:// URI, as X509-SVID section 5 asks.',
  ),
  jwt_svid_invalid: row(
    'INVALID_ARGUMENT',
    'Fetch a fresh token for the right audience; the message says what is wrong with this one.',
  ),
  bundle_invalid: row('INVALID_ARGUMENT', 'Give a SPIFFE bundle document, a JWK set or CA certificates.'),
  bundle_missing: row('FAILED_PRECONDITION', 'Federate with that trust domain, or load its bundle.'),
  json_invalid: row('INVALID_ARGUMENT', 'Give one JSON value in UTF-8, without repeated names.'),
  entry_invalid: row(
    'INVALID_ARGUMENT',
    'Correct the field that the message names and send the entry again.',
  ),
  dns_name_invalid: row(
    'INVALID_ARGUMENT',
    'Use labels of letters, digits and hyphens; * only as the first label.',
  ),
  endpoint_address_invalid: row(
    'INVALID_ARGUMENT',
    'Write unix:///path/to.sock or tcp://IP:PORT, for example in SPIFFE_ENDPOINT_SOCKET.',
  ),
  // x509
  der_invalid: row(
    'INVALID_ARGUMENT',
    'Send the unchanged DER encoding (not PEM), complete and nothing after it.',
  ),
  csr_invalid: row('INVALID_ARGUMENT', 'Make a PKCS#10 request and sign it with the key that it carries.'),
  certificate_invalid: row('INVALID_ARGUMENT', 'Look at the certificate with `touchmark inspect svid FILE`.'),
  chain_untrusted: row(
    'UNAUTHENTICATED',
    'Check that the chain is complete, in time, and ends at an authority of its own trust domain.',
  ),
  key_unsupported: row('INVALID_ARGUMENT', 'Use an EC key on P-256 or P-384, or RSA of 2048 to 4096 bits.'),
  pem_invalid: row('INVALID_ARGUMENT', 'Give whole PEM blocks in padded base64.'),
} as const satisfies Record<string, ErrorRow>;
