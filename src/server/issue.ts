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
import type { Authority, IssuedJwt, IssuedKind, IssuedX509, Issuer, X509Request } from './contract.js';
import { checkAuthority, checkLeaf } from './issuing/check.js';
import type { SerialStock, SerialWant } from './issuing/serials.js';
import { type OpenSigner, signerOpener } from './issuing/signer.js';

export interface IssuerDeps {
  readonly config: Pick<ServerConfig, 'trustDomain' | 'svid' | 'ca' | 'jwt'>;
  readonly authority: Pick<Authority, 'x509' | 'jwt'>;
  readonly clock: Clock;
  /** Without it every serial number is random, and none can be withdrawn. */
  readonly serials?: SerialStock;
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
    reserve: (node, kind, ttl, hint) =>
      deps.serials?.reserve(node, wantFor(bench, kind, positive(ttl) ?? defaultTtl(deps.config, kind)), hint),
    workloadX509(request) {
      checkWorkload(request.id, trustDomain);
      return issueLeaf(bench, request, positive(request.ttl) ?? svid.x509Ttl);
    },
    agentX509(request) {
      checkAgent(request.id, trustDomain);
      return issueLeaf(bench, request, positive(request.ttl) ?? svid.agentTtl);
    },
    serverX509: (spki) => issueLeaf(bench, { id: server, spki, ttl: 0 }, svid.x509Ttl),
    downstreamCa: (request) => issueDownstream(bench, request),
    jwt: (request) => issueToken(bench, request),
  };
}

function defaultTtl(
  { svid: { x509Ttl, agentTtl, jwtTtl }, ca }: IssuerDeps['config'],
  kind: IssuedKind,
): number {
  return { workload: x509Ttl, agent: agentTtl, downstream: ca.ttl, jwt: jwtTtl, jti: jwtTtl }[kind];
}

/** The serial number that is about to be drawn, worked out as it will be when it is. */
function wantFor(bench: Bench, kind: IssuedKind, ttl: number): SerialWant {
  const { x509, jwt } = bench.authority;
  const authority = x509.signer().id;
  const { notAfter } = kind === 'jwt' || kind === 'jti' ? jwt.signer() : x509.signer();
  const { notAfter: expiresAt } = lifetime(bench.clock, ttl, notAfter);
  return kind === 'jwt' ? { authority, expiresAt, unnumbered: true } : { authority, expiresAt };
}

function issueLeaf(bench: Bench, request: X509Request, ttl: number): IssuedX509 {
  const { id, spki, dnsNames = [], node } = request;
  const authority = bench.authority.x509.signer();
  const signer = bench.openSigner(authority);
  const life = lifetime(bench.clock, ttl, signer.notAfter, bench.serials, node);
  const template: LeafTemplate = {
    kind: 'leaf',
    serial: serialFor(bench, node, { authority: authority.id, expiresAt: life.notAfter }),
    subject: dnsNames.length === 0 ? plainSubject : leafSubject(dnsNames),
    ...life,
    spki,
    uri: id,
    dnsNames,
  };
  const der = signCertificate(template, signer.certificateSigner);
  return issued(id, signer, checkLeaf(der, template, id, signer.certificateSigner));
}

function issueDownstream(
  bench: Bench,
  { spki, ttl, node }: Parameters<Issuer['downstreamCa']>[0],
): IssuedX509 {
  const { trustDomain, ca } = bench.config;
  const authority = bench.authority.x509.signer();
  const signer = bench.openSigner(authority);
  const life = lifetime(bench.clock, positive(ttl) ?? ca.ttl, signer.notAfter, bench.serials, node);
  const id = makeSpiffeId(trustDomain, '');
  const template: AuthorityTemplate = {
    kind: 'authority',
    serial: serialFor(bench, node, { authority: authority.id, expiresAt: life.notAfter }),
    subject: encodeName({ ...ca.subject, organizationalUnit: 'DOWNSTREAM-1' }),
    ...life,
    spki,
    uri: id,
  };
  const der = signCertificate(template, signer.certificateSigner);
  return issued(id, signer, checkAuthority(der, template, signer.certificateSigner));
}

/** Operators' certificates have random ones; a node's are those that were reserved for it. */
function serialFor({ serials, drawSerial }: Bench, node: SpiffeId | undefined, want: SerialWant): Uint8Array {
  return node === undefined || serials === undefined ? drawSerial() : serials.draw(node, want);
}

function issueToken(bench: Bench, request: Parameters<Issuer['jwt']>[0]): IssuedJwt {
  const { clock, authority, config, serials } = bench;
  const { id, audience, ttl, withJti, node } = request;
  checkWorkload(id, config.trustDomain);
  const { id: keyId, key, algorithm, notAfter } = authority.jwt.signer();
  const { notAfter: expiresAt } = lifetime(clock, positive(ttl) ?? config.svid.jwtTtl, notAfter);
  // In the second in which a withdrawal fell, what is issued after it is of the next one.
  const issuedAt = Math.max(unixSeconds(clock), node === undefined ? 0 : (serials?.notBefore(node) ?? 0));
  const claims: JwtSvidClaims = {
    sub: id,
    aud: audience,
    iat: issuedAt,
    exp: expiresAt,
    ...(config.jwt.issuer === '' ? {} : { iss: config.jwt.issuer }),
    ...(withJti ? { jti: tokenId(bench, node, expiresAt) } : {}),
  };
  const token = signJwtSvid(claims, { key, keyId, alg: algorithm });
  checkToken(token, claims);
  return { id, token, issuedAt, expiresAt };
}

/** Out of the serial numbers of the node, so that one list of what was withdrawn serves certificates and tokens. */
function tokenId(bench: Bench, node: SpiffeId | undefined, expiresAt: number): string {
  if (node === undefined || bench.serials === undefined) return randomUUID();
  const want = { authority: bench.authority.x509.signer().id, expiresAt };
  return Buffer.from(bench.serials.draw(node, want)).toString('hex');
}

/** Begins a little in the past, but after what was withdrawn from its node; ends when its signer ends at the latest. */
function lifetime(
  clock: Clock,
  ttl: number,
  signerEnd: number,
  serials?: SerialStock,
  node?: SpiffeId,
): { notBefore: number; notAfter: number } {
  const now = unixSeconds(clock);
  const notAfter = Math.min(now + ttl, signerEnd);
  if (notAfter <= now) throw new TouchmarkError('authority_unavailable', 'the signing authority has ended');
  const earliest = node === undefined ? 0 : (serials?.notBefore(node) ?? 0);
  return { notBefore: Math.max(now - BACKDATE_SECONDS, Math.min(earliest, notAfter - 1)), notAfter };
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
