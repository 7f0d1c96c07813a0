/** The one place that builds certificates and tokens: template -> sign -> read again and compare. */
import { randomBytes, randomUUID } from 'node:crypto';
import { type Clock, unixSeconds } from '../clock.js';
import type { ServerConfig } from '../config/server-config.js';
import { TouchmarkError } from '../errors.js';
import { isMemberOf, makeSpiffeId, pathOf, type SpiffeId, type TrustDomain } from '../spiffe/id.js';
import { parseJwtSvid, signJwtSvid } from '../spiffe/jwt-svid.js';
import { leafSubject, signCertificate } from '../x509/certificate.js';
import { encodeName } from '../x509/name.js';
import type { Certificate } from '../x509/read-certificate.js';
import { BACKDATE_SECONDS } from './authority-x509.js';
import type { Authority, IssuedJwt, IssuedX509, Issuer, X509Request } from './contract.js';
import { checkAuthority, checkLeaf } from './issue-check.js';
import { type OpenSigner, signerOpener } from './issue-signer.js';

export interface IssuerDeps {
  readonly config: Pick<ServerConfig, 'trustDomain' | 'svid' | 'ca' | 'jwt'>;
  readonly authority: Pick<Authority, 'x509' | 'jwt'>;
  readonly clock: Clock;
}

/** Of nearly every leaf, so encoded once. */
const plainSubject = leafSubject([]);

/** Who may have which identity is decided by the callers; here only what no caller may ever ask for is refused. */
export function createIssuer({ config, authority, clock }: IssuerDeps): Issuer {
  const { trustDomain, svid, ca, jwt } = config;
  const openSigner = signerOpener();
  const drawSerial = serialSource();

  /** Begins a little in the past; ends when its signer ends at the latest. */
  function lifetime(ttl: number, signerEnd: number): { notBefore: number; notAfter: number } {
    const now = unixSeconds(clock);
    const notAfter = Math.min(now + ttl, signerEnd);
    if (notAfter <= now) throw ended();
    return { notBefore: now - BACKDATE_SECONDS, notAfter };
  }

  function leaf({ id, spki, dnsNames = [] }: X509Request, ttl: number): IssuedX509 {
    const signer = openSigner(authority.x509.signer());
    const subject = dnsNames.length === 0 ? plainSubject : leafSubject(dnsNames);
    const serial = drawSerial();
    const times = lifetime(ttl, signer.notAfter);
    const template = { kind: 'leaf', serial, subject, ...times, spki, uri: id, dnsNames } as const;
    const der = signCertificate(template, signer.certificateSigner);
    return issued(id, signer, checkLeaf(der, template, id, signer.certificateSigner));
  }

  function downstreamCa(spki: Uint8Array, ttl: number): IssuedX509 {
    const signer = openSigner(authority.x509.signer());
    const id = makeSpiffeId(trustDomain, '');
    const subject = encodeName({ ...ca.subject, organizationalUnit: 'DOWNSTREAM-1' });
    const serial = drawSerial();
    const times = lifetime(positive(ttl) ?? ca.ttl, signer.notAfter);
    const template = { kind: 'authority', serial, subject, ...times, spki, uri: id } as const;
    const der = signCertificate(template, signer.certificateSigner);
    return issued(id, signer, checkAuthority(der, template, signer.certificateSigner));
  }

  function token(request: Parameters<Issuer['jwt']>[0]): IssuedJwt {
    const { id, audience, ttl, withJti } = request;
    const { id: keyId, key, algorithm, notAfter } = authority.jwt.signer();
    const issuedAt = unixSeconds(clock);
    const { notAfter: expiresAt } = lifetime(positive(ttl) ?? svid.jwtTtl, notAfter);
    const claims = {
      sub: workload(id, trustDomain),
      aud: audience,
      iat: issuedAt,
      exp: expiresAt,
      ...(jwt.issuer === '' ? {} : { iss: jwt.issuer }),
      ...(withJti ? { jti: randomUUID() } : {}),
    };
    const text = signJwtSvid(claims, { key, keyId, alg: algorithm });
    checkToken(text, id, audience, expiresAt);
    return { id, token: text, issuedAt, expiresAt };
  }

  return {
    workloadX509: (request) => {
      workload(request.id, trustDomain);
      return leaf(request, positive(request.ttl) ?? svid.x509Ttl);
    },
    agentX509: (request) => {
      if (!isMemberOf(request.id, trustDomain) || !pathOf(request.id).startsWith('/spire/agent/')) {
        throw notOurs(request.id, 'no agent of this trust domain');
      }
      return leaf(request, positive(request.ttl) ?? svid.agentTtl);
    },
    serverX509: (spki) => {
      return leaf({ id: makeSpiffeId(trustDomain, '/spire/server'), spki, ttl: 0 }, svid.x509Ttl);
    },
    downstreamCa,
    jwt: token,
  };
}

function issued(id: SpiffeId, signer: OpenSigner, read: Certificate): IssuedX509 {
  signer.verifyOnce(read);
  return { id, chain: [read.der, ...signer.intermediates], expiresAt: read.notAfter, serial: read.serial };
}

/** Unset or nonsense becomes undefined, so that the default is taken. */
function positive(ttl: number): number | undefined {
  return ttl > 0 ? ttl : undefined;
}

/** `/spire` is the server's own, whatever an entry says. */
function workload(id: SpiffeId, trustDomain: TrustDomain): SpiffeId {
  const path = pathOf(id);
  const reserved = path === '/spire' || path.startsWith('/spire/');
  if (path === '' || reserved || !isMemberOf(id, trustDomain)) {
    throw notOurs(id, 'no workload of this trust domain');
  }
  return id;
}

function checkToken(text: string, id: SpiffeId, audience: readonly string[], expiresAt: number): void {
  const read = parseJwtSvid(text);
  const same =
    read.id === id && read.expiresAt === expiresAt && read.audience.join('\0') === audience.join('\0');
  if (!same)
    throw new TouchmarkError('issued_mismatch', `the token for ${id} does not say what was asked for`);
}

/** 128 random bits, never zero; drawn in batches, since asking for random bytes costs a quarter of a signature. */
export function serialSource(batch = 256): () => Uint8Array {
  let pool = Buffer.alloc(0);
  return function draw(): Uint8Array {
    if (pool.length < 16) pool = randomBytes(16 * batch);
    const serial = pool.subarray(0, 16);
    pool = pool.subarray(16);
    return serial.some((byte) => byte !== 0) ? serial : draw();
  };
}

function ended(): TouchmarkError {
  return new TouchmarkError('authority_unavailable', 'the signing authority has ended');
}

function notOurs(id: SpiffeId, why: string): TouchmarkError {
  return new TouchmarkError('spiffe_id_invalid', `${id} is ${why}`);
}
