/** The one place that builds certificates and tokens: template -> sign -> read again and compare. */
import { randomBytes, randomUUID } from 'node:crypto';
import { type Clock, unixSeconds } from '../clock.js';
import type { ServerConfig } from '../config/server-config.js';
import { TouchmarkError } from '../errors.js';
import { isMemberOf, makeSpiffeId, pathOf, type SpiffeId, type TrustDomain } from '../spiffe/id.js';
import { type JwtSvidClaims, parseJwtSvid, signJwtSvid } from '../spiffe/jwt-svid.js';
import {
  type AuthorityTemplate,
  type LeafTemplate,
  leafSubject,
  signCertificate,
} from '../x509/certificate.js';
import { encodeName } from '../x509/name.js';
import type { Certificate } from '../x509/read-certificate.js';
import { BACKDATE_SECONDS } from './authority/x509.js';
import type { Authority, IssuedJwt, IssuedX509, Issuer, X509Request } from './contract.js';
import { checkAuthority, checkLeaf } from './issuing/check.js';
import { type OpenSigner, signerOpener } from './issuing/signer.js';

export interface IssuerDeps {
  readonly config: Pick<ServerConfig, 'trustDomain' | 'svid' | 'ca' | 'jwt'>;
  readonly authority: Pick<Authority, 'x509' | 'jwt'>;
  readonly clock: Clock;
}

/** Of nearly every leaf, so encoded once. */
const plainSubject = leafSubject([]);

interface Bench extends IssuerDeps {
  readonly openSigner: ReturnType<typeof signerOpener>;
  readonly drawSerial: () => Uint8Array;
}

/** Who may have which identity is decided by the callers; here only what no caller may ever ask for is refused. */
export function createIssuer(deps: IssuerDeps): Issuer {
  const bench: Bench = { ...deps, openSigner: signerOpener(), drawSerial: serialSource() };
  const { trustDomain, svid } = deps.config;
  const server = makeSpiffeId(trustDomain, '/spire/server');
  return {
    workloadX509(request) {
      checkWorkload(request.id, trustDomain);
      return issueLeaf(bench, request, positive(request.ttl) ?? svid.x509Ttl);
    },
    agentX509(request) {
      checkAgent(request.id, trustDomain);
      return issueLeaf(bench, request, positive(request.ttl) ?? svid.agentTtl);
    },
    serverX509: (spki) => issueLeaf(bench, { id: server, spki, ttl: 0 }, svid.x509Ttl),
    downstreamCa: (spki, ttl) => issueDownstream(bench, spki, ttl),
    jwt: (request) => issueToken(bench, request),
  };
}

function issueLeaf(bench: Bench, { id, spki, dnsNames = [] }: X509Request, ttl: number): IssuedX509 {
  const signer = bench.openSigner(bench.authority.x509.signer());
  const template: LeafTemplate = {
    kind: 'leaf',
    serial: bench.drawSerial(),
    subject: dnsNames.length === 0 ? plainSubject : leafSubject(dnsNames),
    ...lifetime(bench.clock, ttl, signer.notAfter),
    spki,
    uri: id,
    dnsNames,
  };
  const der = signCertificate(template, signer.certificateSigner);
  return issued(id, signer, checkLeaf(der, template, id, signer.certificateSigner));
}

function issueDownstream(bench: Bench, spki: Uint8Array, ttl: number): IssuedX509 {
  const { trustDomain, ca } = bench.config;
  const signer = bench.openSigner(bench.authority.x509.signer());
  const id = makeSpiffeId(trustDomain, '');
  const template: AuthorityTemplate = {
    kind: 'authority',
    serial: bench.drawSerial(),
    subject: encodeName({ ...ca.subject, organizationalUnit: 'DOWNSTREAM-1' }),
    ...lifetime(bench.clock, positive(ttl) ?? ca.ttl, signer.notAfter),
    spki,
    uri: id,
  };
  const der = signCertificate(template, signer.certificateSigner);
  return issued(id, signer, checkAuthority(der, template, signer.certificateSigner));
}

function issueToken(bench: Bench, request: Parameters<Issuer['jwt']>[0]): IssuedJwt {
  const { clock, authority, config } = bench;
  const { id, audience, ttl, withJti } = request;
  checkWorkload(id, config.trustDomain);
  const { id: keyId, key, algorithm, notAfter } = authority.jwt.signer();
  const issuedAt = unixSeconds(clock);
  const { notAfter: expiresAt } = lifetime(clock, positive(ttl) ?? config.svid.jwtTtl, notAfter);
  const claims: JwtSvidClaims = {
    sub: id,
    aud: audience,
    iat: issuedAt,
    exp: expiresAt,
    ...(config.jwt.issuer === '' ? {} : { iss: config.jwt.issuer }),
    ...(withJti ? { jti: randomUUID() } : {}),
  };
  const token = signJwtSvid(claims, { key, keyId, alg: algorithm });
  checkToken(token, claims);
  return { id, token, issuedAt, expiresAt };
}

/** Begins a little in the past; ends when its signer ends at the latest. */
function lifetime(clock: Clock, ttl: number, signerEnd: number): { notBefore: number; notAfter: number } {
  const now = unixSeconds(clock);
  const notAfter = Math.min(now + ttl, signerEnd);
  if (notAfter <= now) throw new TouchmarkError('authority_unavailable', 'the signing authority has ended');
  return { notBefore: now - BACKDATE_SECONDS, notAfter };
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
function checkWorkload(id: SpiffeId, trustDomain: TrustDomain): void {
  const path = pathOf(id);
  const reserved = path === '/spire' || path.startsWith('/spire/');
  if (path === '' || reserved || !isMemberOf(id, trustDomain)) {
    throw new TouchmarkError('spiffe_id_invalid', `${id} is no workload of this trust domain`);
  }
}

function checkAgent(id: SpiffeId, trustDomain: TrustDomain): void {
  if (!isMemberOf(id, trustDomain) || !pathOf(id).startsWith('/spire/agent/')) {
    throw new TouchmarkError('spiffe_id_invalid', `${id} is no agent of this trust domain`);
  }
}

function checkToken(token: string, { sub, aud, exp }: JwtSvidClaims): void {
  const read = parseJwtSvid(token);
  const same = read.id === sub && read.expiresAt === exp && read.audience.join('\0') === aud.join('\0');
  if (!same)
    throw new TouchmarkError('issued_mismatch', `the token for ${sub} does not say what was asked for`);
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
