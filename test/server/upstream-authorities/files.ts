/** Writes what an upstream authority on disk consists of. */
import type { KeyObject } from 'node:crypto';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type CertificateSigner,
  makeSigner,
  selfSign,
  signCertificate,
} from '../../../src/x509/certificate.js';
import { exportPkcs8, generateKey } from '../../../src/x509/keys.js';
import { encodeName } from '../../../src/x509/name.js';
import { writePem, writePemCertificates } from '../../../src/x509/pem.js';
import { exportSpki } from '../../../src/x509/spki.js';

export interface Times {
  /** Unix seconds. */
  readonly notBefore: number;
  readonly notAfter: number;
}

let serials = 0;

export async function makeRoot(name: string, times: Times): Promise<CertificateSigner> {
  const key = await generateKey('ec-p256');
  return selfSign({ kind: 'authority', ...common(name), ...times }, key);
}

export async function makeIntermediate(
  name: string,
  above: CertificateSigner,
  times: Times,
): Promise<CertificateSigner> {
  const key = await generateKey('ec-p256');
  const spki = exportSpki(key);
  return makeSigner(key, signCertificate({ kind: 'authority', ...common(name), ...times, spki }, above));
}

/** Not an authority, but with a key. */
export async function makeLeaf(
  above: CertificateSigner,
  times: Times,
): Promise<{ key: KeyObject; certificate: Uint8Array }> {
  const key = await generateKey('ec-p256');
  const uri = 'spiffe://example.org/leaf';
  const template = {
    kind: 'leaf',
    ...common('leaf'),
    uri,
    ...times,
    spki: exportSpki(key),
    dnsNames: [],
  } as const;
  return { key, certificate: signCertificate(template, above) };
}

export interface Files {
  readonly certFile: string;
  readonly keyFile: string;
  readonly bundleFile: string;
}

export async function writeFiles(
  directory: string,
  content: { chain: readonly Uint8Array[]; key: KeyObject; roots?: readonly Uint8Array[] },
): Promise<Files> {
  const files = {
    certFile: join(directory, 'ca.pem'),
    keyFile: join(directory, 'ca-key.pem'),
    bundleFile: content.roots === undefined ? '' : join(directory, 'roots.pem'),
  };
  await writeFile(files.certFile, writePemCertificates(content.chain));
  await writeFile(files.keyFile, writePem('PRIVATE KEY', exportPkcs8(content.key)), { mode: 0o600 });
  await chmod(files.keyFile, 0o600);
  if (content.roots !== undefined) await writeFile(files.bundleFile, writePemCertificates(content.roots));
  return files;
}

function common(name: string) {
  serials += 1;
  return {
    serial: Uint8Array.of(serials),
    subject: encodeName({ organization: 'Upstream', commonName: name }),
    uri: 'spiffe://example.org',
  };
}
