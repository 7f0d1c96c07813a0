import { generateKeyPair, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { type Clock, unixSeconds } from '../clock.js';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import type { TlsIdentity } from '../rpc/tls-listener.js';
import { writePem } from '../x509/pem.js';
import { exportSpki } from '../x509/spki.js';
import type { Authority, IssuedX509, Issuer } from './contract.js';

/** The server's own SVID: /spire/server, with a key that lives in memory only. */
export interface ServerSvid extends Disposable {
  identity(): TlsIdentity;
  chain(): readonly Uint8Array[];
  /** After each renewal. */
  onChange(listener: (svid: IssuedX509) => void): () => void;
}

export interface ServerSvidDeps {
  readonly issuer: Issuer;
  readonly authority: Authority;
  readonly clock: Clock;
  readonly log: Logger;
}

interface Held {
  readonly svid: IssuedX509;
  readonly key: KeyObject;
  readonly signerId: string;
  readonly issuedAt: number;
}

const RETRY_MS = 5_000;
const generate = promisify(generateKeyPair);

/** Made now, and anew at half of its life, or when another authority signs: agents that forgot the old one must get in. */
export async function openServerSvid(deps: ServerSvidDeps): Promise<ServerSvid> {
  const listeners = new Set<(svid: IssuedX509) => void>();
  let held = await issue(deps);
  let running = false;
  let stopped = false;
  let cancel = () => {};

  const schedule = (delayMs: number) => {
    cancel();
    if (!stopped) cancel = deps.clock.after(delayMs, () => void renew());
  };
  const renew = async () => {
    if (running || stopped) return;
    running = true;
    try {
      held = await issue(deps);
      for (const listener of listeners) listener(held.svid);
      schedule(untilHalf(held, deps.clock));
    } catch (error) {
      deps.log.error('the server could not renew its own SVID', { error: messageOf(error) });
      schedule(RETRY_MS);
    } finally {
      running = false;
    }
    // The authority may have changed once more while the key was made.
    if (!stopped && signerOf(deps) !== undefined && signerOf(deps) !== held.signerId) schedule(0);
  };
  const unsubscribe = deps.authority.onChange(() => {
    if (signerOf(deps) !== held.signerId) void renew();
  });
  schedule(untilHalf(held, deps.clock));
  return {
    identity: () => toTls(held),
    chain: () => held.svid.chain,
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    [Symbol.dispose]() {
      stopped = true;
      cancel();
      unsubscribe();
    },
  };
}

async function issue({ issuer, authority, clock }: ServerSvidDeps): Promise<Held> {
  const { privateKey: key, publicKey } = await generate('ec', { namedCurve: 'P-256' });
  const signerId = authority.x509.signer().id;
  return { key, svid: issuer.serverX509(exportSpki(publicKey)), signerId, issuedAt: unixSeconds(clock) };
}

function signerOf({ authority }: ServerSvidDeps): string | undefined {
  return authority.x509.state().active?.id;
}

function untilHalf({ svid, issuedAt }: Held, clock: Clock): number {
  const half = issuedAt + Math.floor((svid.expiresAt - issuedAt) / 2);
  return Math.max(1000, half * 1000 - clock.now());
}

function toTls({ svid, key }: Held): TlsIdentity {
  const keyPem = key.export({ format: 'pem', type: 'pkcs8' }).toString();
  return { keyPem, chainPem: svid.chain.map((der) => writePem('CERTIFICATE', der)).join('') };
}
