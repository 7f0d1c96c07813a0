/** A certificate and key that somebody else renews: read again when one of the files changes. */
import { X509Certificate } from 'node:crypto';
import { watch } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { createSecureContext } from 'node:tls';
import type { Clock } from '../../clock.js';
import { messageOf, TouchmarkError } from '../../errors.js';
import type { Logger } from '../../log.js';
import type { TlsIdentity } from '../../rpc/tls-listener.js';

export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

const MAX_BYTES = 256 * 1024;
/** Both files are written one after the other, by rename or in place. */
const SETTLE_MS = 1_000;

/**
 * The key is of the certificate. Does not establish whom it names, nor that anybody believes it.
 * @throws TouchmarkError `web_certificate_invalid`
 */
export async function readCertificateFiles({ certFile, keyFile }: CertificateFiles): Promise<TlsIdentity> {
  const [chainPem, keyPem] = [await readBounded(certFile), await readBounded(keyFile)];
  try {
    // The first says whether they belong together, the second whether the first of the chain is a certificate at all.
    createSecureContext({ cert: chainPem, key: keyPem });
    new X509Certificate(chainPem);
  } catch {
    // What went wrong is not told: an error of the parser may quote the key.
    throw invalid(`${certFile} and ${keyFile} are not a certificate chain and its key`);
  }
  return { chainPem, keyPem };
}

async function readBounded(path: string): Promise<string> {
  try {
    if ((await stat(path)).size > MAX_BYTES) throw invalid(`${path} is longer than ${MAX_BYTES} bytes`);
    return await readFile(path, 'utf8');
  } catch (error) {
    throw error instanceof TouchmarkError ? error : invalid(`${path} cannot be read: ${messageOf(error)}`);
  }
}

/** Calls back with each new pair that is good; with a bad one the old stays. */
export function watchCertificateFiles(
  files: CertificateFiles,
  { clock, log }: { clock: Clock; log: Logger },
  onChange: (identity: TlsIdentity) => void,
): Disposable {
  let cancel = () => {};
  let stopped = false;
  const reread = async () => {
    try {
      const identity = await readCertificateFiles(files);
      if (!stopped) onChange(identity);
    } catch (error) {
      log.error('the certificate for HTTPS was not renewed', { error: messageOf(error) });
    }
  };
  const changed = () => {
    cancel();
    if (!stopped) cancel = clock.after(SETTLE_MS, () => void reread());
  };
  const folders = new Set([dirname(files.certFile), dirname(files.keyFile)]);
  const watchers = [...folders].map((folder) => watch(folder, { persistent: false }, changed));
  for (const watcher of watchers) {
    watcher.on('error', (error) =>
      log.error('the certificate for HTTPS is not watched', { error: messageOf(error) }),
    );
  }
  return {
    [Symbol.dispose]() {
      stopped = true;
      cancel();
      for (const watcher of watchers) watcher.close();
    },
  };
}

function invalid(why: string): TouchmarkError {
  return new TouchmarkError('web_certificate_invalid', why);
}
