import { createHash, type KeyObject } from 'node:crypto';
import { TouchmarkError } from '../../errors.js';
import type { Bundle } from '../../spiffe/bundle.js';
import type { SpiffeId } from '../../spiffe/id.js';
import { authoritiesOf, parseX509Svid } from '../../spiffe/x509-svid.js';
import { verifyChain } from '../../x509/chain.js';
import { exportSpki } from '../../x509/spki.js';

/** An SVID as the server sent it, verified. */
export interface ReceivedSvid {
  readonly id: SpiffeId;
  /** Leaf first, DER, copied out of the message. */
  readonly chain: readonly Uint8Array[];
  /** Unix seconds. */
  readonly notBefore: number;
  readonly expiresAt: number;
  /** Digest of the public key of the authority that it chains to: what `authorityStanding` takes. */
  readonly authority: string;
}

/**
 * Verifies an SVID that the server issued to us: it names a member of the bundle's domain, carries our key, is in time, and
 * chains to the bundle. Does not establish that we may have that ID: the caller compares `id` with the one it expects.
 * @param now Unix seconds
 * @throws TouchmarkError `server_answer_invalid` for another key or domain; `x509_svid_invalid`, `chain_untrusted`
 */
export function checkReceivedSvid(
  chain: readonly Uint8Array[],
  key: KeyObject,
  bundle: Bundle,
  now: number,
): ReceivedSvid {
  const own = chain.map((der) => Uint8Array.from(der));
  const svid = parseX509Svid(own);
  if (!svid.id.startsWith(`spiffe://${bundle.trustDomain}/`)) {
    throw invalid(`the server sent an SVID of another trust domain, ${svid.id}`);
  }
  if (Buffer.compare(svid.leaf.spki, exportSpki(key)) !== 0) {
    throw invalid(`the server sent an SVID for ${svid.id} that carries another key than the one asked for`);
  }
  const path = verifyChain(svid.leaf, svid.chain.slice(1), authoritiesOf(bundle), { now });
  const anchor = path.at(-1)?.spki ?? new Uint8Array();
  const { notBefore, notAfter } = svid.leaf;
  return { id: svid.id, chain: own, notBefore, expiresAt: notAfter, authority: digest(anchor) };
}

/** What a bundle says of an authority now. By its key: an authority whose certificate was made anew stays the same one. */
export function authorityStanding(bundle: Bundle, authority: string): 'trusted' | 'tainted' | 'removed' {
  const found = standings(bundle).get(authority);
  return found === undefined ? 'removed' : found ? 'tainted' : 'trusted';
}

const known = new WeakMap<Bundle, ReadonlyMap<string, boolean>>();

function standings(bundle: Bundle): ReadonlyMap<string, boolean> {
  const cached = known.get(bundle);
  if (cached !== undefined) return cached;
  const made = new Map<string, boolean>();
  for (const [index, certificate] of authoritiesOf(bundle).entries()) {
    const name = digest(certificate.spki);
    const tainted = bundle.x509Authorities[index]?.tainted === true;
    // Published twice under one key: tainted once is tainted.
    made.set(name, tainted || made.get(name) === true);
  }
  known.set(bundle, made);
  return made;
}

function digest(spki: Uint8Array): string {
  return createHash('sha256').update(spki).digest('hex');
}

function invalid(message: string): TouchmarkError {
  return new TouchmarkError('server_answer_invalid', message);
}
