import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { messageOf, TouchmarkError } from '../../errors.js';
import type { Logger } from '../../log.js';
import type { Bundle } from '../../spiffe/bundle.js';
import { bundleFromPem } from '../../spiffe/bundle-certificates.js';
import { readBundleDocument, writeBundleDocument } from '../../spiffe/bundle-document.js';
import type { TrustDomain } from '../../spiffe/id.js';
import { createTrust, type Trust } from './trust.js';

export interface BootstrapDeps {
  readonly trustDomain: TrustDomain;
  readonly dataDir: string;
  /** Empty: none. */
  readonly trustBundleFile: string;
  readonly insecureBootstrap: boolean;
  readonly log: Logger;
  /** undefined when there is no such file. */
  readFile(path: string): Promise<Uint8Array | undefined>;
  /** Whole or not at all, mode 0600. */
  writeFile(path: string, content: string): Promise<void>;
}

/** What was kept by an earlier run. */
interface Kept {
  /** Digest of the bootstrap file that it began with: another one there now means that the operator began anew. */
  readonly bootstrap: string;
  readonly bundle: Bundle;
}

interface Given {
  readonly digest: string;
  readonly bundle: Bundle;
}

const MAX_FILE_BYTES = 4 * 1024 * 1024;

/**
 * Finds whom to believe at the start: the newest bundle kept by an earlier run, so that a server whose authorities rotated
 * meanwhile is recognised; else the configured file; else, if the operator allows it, whoever answers first.
 * @throws TouchmarkError `bootstrap_missing`, `bundle_invalid`, `pem_invalid`
 */
export async function loadTrust(deps: BootstrapDeps): Promise<Trust> {
  const path = join(deps.dataDir, 'bundle.json');
  const given = deps.trustBundleFile === '' ? undefined : await readGiven(deps);
  const kept = await readKept(deps, path);
  const bootstrap = given?.digest ?? kept?.bootstrap ?? '';
  const first = kept?.bootstrap === bootstrap ? kept.bundle : given?.bundle;
  if (first === undefined) acceptAnybody(deps);
  return createTrust({
    trustDomain: deps.trustDomain,
    log: deps.log,
    first,
    save: (bundle) => deps.writeFile(path, writeKept({ bootstrap, bundle })),
  });
}

function acceptAnybody({ trustDomain, insecureBootstrap, log }: BootstrapDeps): void {
  if (!insecureBootstrap) {
    const message = `there is no bundle of ${trustDomain} by which its server could be recognised`;
    throw new TouchmarkError('bootstrap_missing', message);
  }
  log.warn('INSECURE BOOTSTRAP: whoever answers first at the server address will be believed', {
    trustDomain,
  });
}

async function readGiven(deps: BootstrapDeps): Promise<Given> {
  const file = await deps.readFile(deps.trustBundleFile);
  if (file === undefined) {
    const message = `the trust bundle file ${deps.trustBundleFile} does not exist`;
    throw new TouchmarkError('bootstrap_missing', message);
  }
  const bundle = readBundle(deps.trustDomain, file);
  if (bundle.x509Authorities.length === 0) {
    const message = `the trust bundle file ${deps.trustBundleFile} has no X.509 authority`;
    throw new TouchmarkError('bootstrap_missing', message);
  }
  return { digest: createHash('sha256').update(file).digest('hex'), bundle };
}

/** PEM certificates or a SPIFFE bundle document, told apart by their first character. */
export function readBundle(trustDomain: TrustDomain, file: Uint8Array): Bundle {
  if (file.length > MAX_FILE_BYTES) {
    throw new TouchmarkError('bundle_invalid', `the bundle is longer than ${MAX_FILE_BYTES} bytes`);
  }
  const text = Buffer.from(file).toString('utf8');
  return text.trimStart().startsWith('{')
    ? readBundleDocument(trustDomain, text)
    : bundleFromPem(trustDomain, text);
}

/** A damaged file is as good as none: the operator's bootstrap file, if there is one, takes its place. */
async function readKept(deps: BootstrapDeps, path: string): Promise<Kept | undefined> {
  const file = await deps.readFile(path);
  if (file === undefined) return undefined;
  try {
    const { trustDomain, bootstrap, document } = JSON.parse(Buffer.from(file).toString('utf8'));
    if (trustDomain !== deps.trustDomain)
      throw new Error(`it is of trust domain ${JSON.stringify(trustDomain)}`);
    const bundle = readBundleDocument(deps.trustDomain, String(document));
    if (bundle.x509Authorities.length === 0) throw new Error('it has no X.509 authority');
    return { bootstrap: String(bootstrap), bundle };
  } catch (error) {
    deps.log.warn('the bundle kept by the last run is not usable', { path, error: messageOf(error) });
    return undefined;
  }
}

function writeKept({ bootstrap, bundle }: Kept): string {
  const document = writeBundleDocument(bundle);
  return `${JSON.stringify({ trustDomain: bundle.trustDomain, bootstrap, document })}\n`;
}
