import type { Clock } from '../../clock.js';
import { unixSeconds } from '../../clock.js';
import type { Administrator, Role } from '../../config/server-config.js';
import { TouchmarkError } from '../../errors.js';
import type { Bundle } from '../../spiffe/bundle.js';
import { pathOf, type SpiffeId } from '../../spiffe/id.js';
import { parseX509Svid, verifyX509Svid } from '../../spiffe/x509-svid.js';
import { readCertificate } from '../../x509/read-certificate.js';
import type { Authority, AuthorityState } from '../contract.js';

/** Who is calling: what the kernel says of a Unix socket, or what a verified certificate says of a TLS connection. */
export type Caller = UnixCaller | TlsCaller;

export interface UnixCaller {
  readonly via: 'unix';
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;
  readonly role: Role | undefined;
}

export interface TlsCaller {
  readonly via: 'tls';
  /** Without port. */
  readonly address: string;
  /** Undefined without a client certificate, and with one that did not verify. */
  readonly svid: PeerSvid | undefined;
  /** Why the certificate that was presented is not believed. */
  readonly refusal: TouchmarkError | undefined;
  readonly role: Role | undefined;
}

/** The SVID of a peer, verified against our own authorities at the moment of this call. */
export interface PeerSvid {
  readonly id: SpiffeId;
  /** Hex. */
  readonly serial: string;
  /** Unix seconds. */
  readonly expiresAt: number;
  /** An authority of its chain is tainted: it serves for learning of that and for renewing, and for nothing else. */
  readonly tainted: boolean;
  /** It was taken back: an agent may still talk about itself with it, and nobody may do anything else. */
  readonly withdrawn: boolean;
}

/** What a TLS connection knows of its peer; the same object for as long as the connection lives. */
export interface TlsPeer {
  readonly address: string;
  /** As presented, leaf first, DER; empty without a client certificate. */
  readonly chain: readonly Uint8Array[];
}

export function isAgentId(id: SpiffeId): boolean {
  return pathOf(id).startsWith('/spire/agent/');
}

/** Root and the server's own user administer it; everybody else as the configuration says. */
export function unixRole(
  uid: number,
  ownUid: number,
  administrators: readonly Administrator[],
): Role | undefined {
  if (uid === 0 || uid === ownUid) return 'admin';
  return administrators.find((one) => 'uid' in one && one.uid === uid)?.role;
}

export function svidRole(id: SpiffeId, administrators: readonly Administrator[]): Role | undefined {
  return administrators.find((one) => 'spiffeId' in one && one.spiffeId === id)?.role;
}

interface Verified {
  readonly bundle: Bundle;
  readonly authorities: string;
  readonly outcome: PeerSvid | TouchmarkError;
}

/**
 * Verifies what TLS peers presented: once for each connection and each set of authorities; the end of its life, and whether it
 * was withdrawn, at each call. Does not establish that the identity may call anything, nor that an agent's serial is the one in force.
 */
export function createPeerVerifier(
  authority: Authority,
  clock: Clock,
  isWithdrawn: (serial: string) => boolean,
): (peer: TlsPeer) => PeerSvid | TouchmarkError {
  const known = new WeakMap<TlsPeer, Verified>();
  return (peer) => {
    const now = unixSeconds(clock);
    const bundle = authority.bundle();
    const state = authority.x509.state();
    const authorities = describeState(state);
    let verified = known.get(peer);
    if (verified?.bundle !== bundle || verified.authorities !== authorities) {
      verified = { bundle, authorities, outcome: verify(peer, bundle, state, now) };
      known.set(peer, verified);
    }
    const { outcome } = verified;
    if (outcome instanceof TouchmarkError) return outcome;
    if (now > outcome.expiresAt) return expired(outcome.id, outcome.expiresAt);
    return isWithdrawn(outcome.serial) ? { ...outcome, withdrawn: true } : outcome;
  };
}

function verify(
  peer: TlsPeer,
  bundle: Bundle,
  state: AuthorityState,
  now: number,
): PeerSvid | TouchmarkError {
  try {
    const parsed = parseX509Svid(peer.chain);
    if (parsed.leaf.notAfter < now) return expired(parsed.id, parsed.leaf.notAfter);
    const { id, leaf, chain } = verifyX509Svid(peer.chain, bundle, now);
    const issuers = chain.map((certificate) => hex(certificate.authorityKeyId));
    const tainted = issuers.some((issuer) => isTainted(issuer, bundle, state));
    return { id, serial: leaf.serial, expiresAt: leaf.notAfter, tainted, withdrawn: false };
  } catch (error) {
    if (error instanceof TouchmarkError) return error;
    return new TouchmarkError('chain_untrusted', 'the client certificate could not be read', {
      cause: error,
    });
  }
}

/** By subject key identifier: an authority of ours, or one that the bundle publishes. */
function isTainted(keyId: string, bundle: Bundle, state: AuthorityState): boolean {
  const own = [state.active, state.prepared, state.old];
  if (own.some((record) => record?.id === keyId && record.tainted)) return true;
  return taintedKeyIds(bundle).has(keyId);
}

const taintedByBundle = new WeakMap<Bundle, ReadonlySet<string>>();

function taintedKeyIds(bundle: Bundle): ReadonlySet<string> {
  let ids = taintedByBundle.get(bundle);
  if (ids === undefined) {
    const tainted = bundle.x509Authorities.filter((one) => one.tainted);
    ids = new Set(tainted.map((one) => hex(readCertificate(one.der).subjectKeyId)));
    taintedByBundle.set(bundle, ids);
  }
  return ids;
}

function describeState(state: AuthorityState): string {
  return [state.active, state.prepared, state.old]
    .map((record) => `${record?.id ?? ''}${record?.tainted === true ? '!' : ''}`)
    .join();
}

function expired(id: SpiffeId, at: number): TouchmarkError {
  const code = isAgentId(id) ? 'agent_expired' : 'chain_untrusted';
  return new TouchmarkError(code, `the SVID of ${id} ended at ${new Date(at * 1000).toISOString()}`);
}

function hex(bytes: Uint8Array | undefined): string {
  return bytes === undefined ? '' : Buffer.from(bytes).toString('hex');
}
