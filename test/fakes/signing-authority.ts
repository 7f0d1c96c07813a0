import { generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import type { Clock } from '../../src/clock.js';
import type { Bundle } from '../../src/spiffe/bundle.js';
import { parseTrustDomain, type SpiffeId } from '../../src/spiffe/id.js';
import { signJwtSvid } from '../../src/spiffe/jwt-svid.js';
import { leafSubject, selfSign, signCertificate } from '../../src/x509/certificate.js';
import { readCsr } from '../../src/x509/csr.js';
import { encodeName } from '../../src/x509/name.js';
import { exportSpki } from '../../src/x509/spki.js';

/** A trust domain's keys with what a server does with them: for tests on the agent's side. */
export interface SigningAuthority {
  readonly domain: ReturnType<typeof parseTrustDomain>;
  /** The bundle as it is now, a new object after each change. */
  bundle(): Bundle;
  x509(csr: Uint8Array, id: string, ttl: number): Uint8Array[];
  x509For(spki: Uint8Array, id: string, ttl: number): Uint8Array[];
  jwt(id: SpiffeId, audience: readonly string[], ttl: number, jti?: string): string;
  /** A new pair of authorities signs from now on; the old ones stay published. */
  rotate(): void;
  taintOld(): void;
  removeOld(): void;
}

interface Pair {
  readonly x509: ReturnType<typeof selfSign>;
  readonly jwtKey: KeyObject;
  readonly keyId: string;
  tainted: boolean;
}

export function signingAuthority(clock: Pick<Clock, 'now'>, name = 'example.org'): SigningAuthority {
  const domain = parseTrustDomain(name);
  const seconds = () => Math.floor(clock.now() / 1000);
  let sequence = 1n;
  let pairs: Pair[] = [makePair(name, seconds())];
  const active = () => pairs[0] ?? makePair(name, seconds());

  const change = (next: Pair[]) => {
    pairs = next;
    sequence += 1n;
  };

  const x509For = (spki: Uint8Array, id: string, ttl: number) => [
    signCertificate(
      {
        kind: 'leaf',
        uri: id,
        dnsNames: [],
        serial: randomBytes(8),
        subject: leafSubject([]),
        notBefore: seconds() - 10,
        notAfter: seconds() + ttl,
        spki,
      },
      active().x509,
    ),
  ];

  return {
    domain,
    bundle: () => ({
      trustDomain: domain,
      x509Authorities: pairs.map(({ x509, tainted }) => ({ der: x509.certificate, tainted })),
      jwtAuthorities: pairs.map((pair) => ({
        keyId: pair.keyId,
        spki: exportSpki(pair.jwtKey),
        expiresAt: 0,
        tainted: pair.tainted,
      })),
      refreshHint: 60,
      sequence,
    }),
    x509: (csr, id, ttl) => x509For(readCsr(csr).spki, id, ttl),
    x509For,
    jwt(id, audience, ttl, jti) {
      const claims = { sub: id, aud: [...audience], iat: seconds(), exp: seconds() + ttl };
      const { jwtKey: key, keyId } = active();
      return signJwtSvid(jti === undefined ? claims : { ...claims, jti }, { key, keyId, alg: 'ES256' });
    },
    rotate: () => change([makePair(name, seconds()), ...pairs]),
    taintOld: () => change(pairs.map((pair, at) => ({ ...pair, tainted: at > 0 }))),
    removeOld: () => change(pairs.slice(0, 1)),
  };
}

function makePair(name: string, now: number): Pair {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwtKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  const template = {
    kind: 'authority' as const,
    uri: `spiffe://${name}`,
    serial: randomBytes(8),
    subject: encodeName({
      country: 'US',
      organization: 'Touchmark',
      commonName: randomBytes(4).toString('hex'),
    }),
    notBefore: now - 3600,
    notAfter: now + 365 * 86_400,
  };
  return {
    x509: selfSign(template, privateKey),
    jwtKey,
    keyId: randomBytes(8).toString('hex'),
    tainted: false,
  };
}
