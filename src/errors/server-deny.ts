import { type ErrorRow, row } from './row.js';

export const denyErrors = {
  // x509: certificate revocation lists
  crl_invalid: row('INVALID_ARGUMENT', 'Give one CRL as an authority wrote it, DER or PEM.'),
  crl_untrusted: row(
    'FAILED_PRECONDITION',
    'Fetch a newer CRL, and the certificate of the authority that it is of.',
  ),
  // spiffe: the deny feed
  deny_feed_invalid: row('INVALID_ARGUMENT', 'Give a deny feed as the server serves it at /deny-feed.'),
  deny_feed_untrusted: row(
    'FAILED_PRECONDITION',
    'Fetch the feed again, and the newest bundle of its trust domain.',
  ),
  // server: serial numbers, withdrawals, HTTPS
  svid_withdrawn: row(
    'PERMISSION_DENIED',
    'The host that this SVID was issued to lost its identities: see `host explain`, and call with an SVID that was issued since.',
  ),
  serials_not_reserved: row(
    'INTERNAL',
    'Report this defect: an SVID was to be signed without a serial number.',
  ),
  clock_set_back: row(
    'UNAVAILABLE',
    'Correct the clock of the server if it is wrong; otherwise wait until it has caught up: the message says how long.',
  ),
  web_socket_failed: row('FAILED_PRECONDITION', 'Choose another web.bind_address or web.bind_port.'),
  web_certificate_invalid: row(
    'FAILED_PRECONDITION',
    'Correct web.cert_file and web.key_file: a PEM chain, leaf first, and its private key.',
  ),
} as const satisfies Record<string, ErrorRow>;
