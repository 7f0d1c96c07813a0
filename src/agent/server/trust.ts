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

export function createTrust({ trustDomain, log, first, save }: TrustDeps): Trust {
  const serverId = makeSpiffeId(trustDomain, '/spire/server');
  let bundle = first;
  let known = first === undefined ? '' : digestOf(first);
  let writing = Promise.resolve();

  const write = async (next: Bundle) => {
    try {
      await save(next);
    } catch (error) {
      log.error('the newest bundle could not be kept for the next start', { error: messageOf(error) });
    }
  };

  return {
    get bundle() {
      return bundle;
    },
    update(next) {
      if (next.trustDomain !== trustDomain || next.x509Authorities.length === 0) {
        const many = next.x509Authorities.length;
        const message = `the server sent a bundle of ${next.trustDomain} with ${many} X.509 authorities`;
        throw new TouchmarkError('server_answer_invalid', message);
      }
      bundle = next;
      const digest = digestOf(next);
      if (digest === known) return;
      known = digest;
      // One after the other, so that the newest is what stays.
      writing = writing.then(() => write(next));
    },
    verifyServer(chain, now) {
      const id = serverIdOf(chain, bundle, now, serverId);
      if (id !== serverId) {
        throw new TouchmarkError('server_untrusted', `the server is ${id} instead of ${serverId}`);
      }
    },
    flushed: () => writing,
  };
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
    const message = `the server could not be recognised as ${expected}: ${messageOf(cause)}`;
    throw new TouchmarkError('server_untrusted', message, { cause });
  }
}

function digestOf(bundle: Bundle): string {
  return createHash('sha256').update(writeBundleDocument(bundle)).digest('hex');
}
