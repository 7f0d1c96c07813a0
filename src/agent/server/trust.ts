import { createHash } from 'node:crypto';
import { messageOf, TouchmarkError } from '../../errors.js';
import type { Logger } from '../../log.js';
import type { Bundle } from '../../spiffe/bundle.js';
import { writeBundleDocument } from '../../spiffe/bundle-document.js';
import { makeSpiffeId, type SpiffeId, type TrustDomain } from '../../spiffe/id.js';
import { parseX509Svid, verifyX509Svid } from '../../spiffe/x509-svid.js';

/** Whom the agent believes to be its server: the newest bundle that the server gave, or the one for the first contact. */
export interface Trust {
  /** undefined before the first contact of an insecure bootstrap. */
  readonly bundle: Bundle | undefined;
  /**
   * Takes the bundle that an authenticated server gave, and keeps it for the next start.
   * @throws TouchmarkError `server_answer_invalid` for another domain's or an empty one
   */
  update(bundle: Bundle): void;
  /**
   * Verifies the chain that a server showed in TLS: that it is this trust domain's server. Before the first contact of an
   * insecure bootstrap only the name is looked at, and anybody can write a name.
   * @param now Unix seconds
   * @throws TouchmarkError `server_untrusted`
   */
  verifyServer(chain: readonly Uint8Array[], now: number): void;
  /** Resolves when the newest bundle is on the disk, or could not be written. */
  flushed(): Promise<void>;
}

export interface TrustDeps {
  readonly trustDomain: TrustDomain;
  readonly log: Logger;
  /** What to begin with. */
  readonly first: Bundle | undefined;
  /** Keeps the newest for the next start: whole or not at all. */
  save(bundle: Bundle): Promise<void>;
}

export function createTrust(deps: TrustDeps): Trust {
  return new KeptTrust(deps);
}

class KeptTrust implements Trust {
  readonly #deps: TrustDeps;
  readonly #serverId: SpiffeId;
  #bundle: Bundle | undefined;
  /** Digest of what is on the disk, or on its way there. */
  #known: string;
  /** The newest bundle that nobody has begun to write; what came before it needs no writing any more. */
  #unsaved: Bundle | undefined;
  #writing: Promise<void> | undefined;

  constructor(deps: TrustDeps) {
    this.#deps = deps;
    this.#serverId = makeSpiffeId(deps.trustDomain, '/spire/server');
    this.#bundle = deps.first;
    this.#known = deps.first === undefined ? '' : digestOf(deps.first);
  }

  get bundle(): Bundle | undefined {
    return this.#bundle;
  }

  update(next: Bundle): void {
    const { trustDomain, x509Authorities } = next;
    if (trustDomain !== this.#deps.trustDomain || x509Authorities.length === 0) {
      const many = x509Authorities.length;
      const message = `the server sent a bundle of ${trustDomain} with ${many} X.509 authorities`;
      throw new TouchmarkError('server_answer_invalid', message);
    }
    this.#bundle = next;
    const digest = digestOf(next);
    if (digest === this.#known) return;
    this.#known = digest;
    this.#unsaved = next;
    this.#writing ??= this.#write();
  }

  verifyServer(chain: readonly Uint8Array[], now: number): void {
    const id = serverIdOf(chain, this.#bundle, now, this.#serverId);
    if (id === this.#serverId) return;
    throw new TouchmarkError('server_untrusted', `the server is ${id} instead of ${this.#serverId}`);
  }

  async flushed(): Promise<void> {
    await this.#writing;
  }

  /** One after the other, so that the newest is what stays. Never rejects. */
  async #write(): Promise<void> {
    for (let next = this.#unsaved; next !== undefined; next = this.#unsaved) {
      this.#unsaved = undefined;
      try {
        await this.#deps.save(next);
      } catch (error) {
        const message = 'the newest bundle could not be kept for the next start';
        this.#deps.log.error(message, { error: messageOf(error) });
      }
    }
    this.#writing = undefined;
  }
}

function serverIdOf(
  chain: readonly Uint8Array[],
  bundle: Bundle | undefined,
  now: number,
  expected: SpiffeId,
): SpiffeId {
  try {
    return bundle === undefined ? parseX509Svid(chain).id : verifyX509Svid(chain, bundle, now).id;
  } catch (cause) {
    const foreign = cause instanceof TouchmarkError && cause.code === 'bundle_missing';
    const reason = foreign ? `it calls itself ${parseX509Svid(chain).id}` : messageOf(cause);
    const message = `the server could not be recognised as ${expected}: ${reason}`;
    throw new TouchmarkError('server_untrusted', message, { cause });
  }
}

function digestOf(bundle: Bundle): string {
  return createHash('sha256').update(writeBundleDocument(bundle)).digest('hex');
}
