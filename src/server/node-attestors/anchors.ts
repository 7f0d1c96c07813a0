/** Reads the certificates that node attestation rests on: the vendors' set that ships with Touchmark, and the operator's files. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { TpmAttestationConfig } from '../../config/server-config.js';
import { messageOf, TouchmarkError } from '../../errors.js';
import { readAnchorIndex } from '../../tpm/anchor-index.js';
import { type AnchorSet, makeAnchorSet, mergeAnchors, readAll } from '../../tpm/anchors.js';
import type { TpmCertificate } from '../../tpm/certificate.js';
import { readPemCertificates } from '../../x509/pem.js';
import { type Certificate, readCertificate } from '../../x509/read-certificate.js';

const MAX_FILE_BYTES = 8 * 1024 * 1024;
const MAX_FILES = 1024;

/**
 * The anchors of EK certificates: the vendors' (unless switched off) and the operator's.
 * @param vendorDir the folder `data/ek-anchors` of the installation
 * @throws TouchmarkError `anchors_unreadable`, `anchors_invalid`
 */
export async function readEkAnchors(
  config: Pick<TpmAttestationConfig, 'vendorAnchors' | 'anchorPaths'>,
  vendorDir: string,
): Promise<AnchorSet> {
  const vendors = config.vendorAnchors ? [await readVendorSet(vendorDir)] : [];
  const own: AnchorSet[] = [];
  for (const path of config.anchorPaths)
    own.push(await readOperatorPath(path, mergeAnchors(...vendors, ...own)));
  return mergeAnchors(...vendors, ...own);
}

/** CA certificates for `x509pop`: each of them is believed. */
export async function readCaBundle(paths: readonly string[]): Promise<Certificate[]> {
  const found: Certificate[] = [];
  for (const path of paths) {
    const text = await readText(path);
    try {
      found.push(...readPemCertificates(text).map(readCertificate));
    } catch (cause) {
      throw new TouchmarkError('anchors_unreadable', `${path}: ${messageOf(cause)}`, { cause });
    }
  }
  if (found.length > 0) return found;
  throw new TouchmarkError('anchors_unreadable', `no certificate was found in ${paths.join(', ')}`);
}

async function readVendorSet(directory: string): Promise<AnchorSet> {
  const index = await readText(join(directory, 'index.json'));
  const texts = new Map<string, string>();
  for (const name of ['roots.pem', 'intermediates.pem'])
    texts.set(name, await readText(join(directory, name)));
  return readAnchorIndex(index, (name) => {
    const text = texts.get(name);
    if (text === undefined) throw new TouchmarkError('anchors_unreadable', `${directory} has no ${name}`);
    return text;
  });
}

/**
 * A PEM file, or all `.pem` and `.crt` files of a directory. A self-issued certificate, and one whose issuer is not known,
 * is an anchor: the operator means it. One whose issuer is known only leads there.
 */
async function readOperatorPath(path: string, known: AnchorSet): Promise<AnchorSet> {
  const certificates: TpmCertificate[] = [];
  for (const file of await filesOf(path)) certificates.push(...readNamed(file, await readText(file)));
  if (certificates.length === 0) {
    throw new TouchmarkError('anchors_unreadable', `no certificate was found in ${path}`);
  }
  const subjects = new Set([...certificates, ...known.intermediates].map(({ subject }) => nameKey(subject)));
  for (const { certificate } of known.anchors) subjects.add(nameKey(certificate.subject));
  const isAnchor = ({ subject, issuer }: TpmCertificate) =>
    nameKey(subject) === nameKey(issuer) || !subjects.has(nameKey(issuer));
  const anchors = certificates.filter(isAnchor).map((certificate) => ({
    certificate,
    name: path,
    vendor: 'operator',
    // The operator vouches for it; a test authority such as swtpm's is one only because an operator named its file.
    assurance: 'hardware' as const,
    sha1: false,
  }));
  return makeAnchorSet(
    path,
    anchors,
    certificates.filter((one) => !isAnchor(one)),
  );
}

function readNamed(file: string, text: string): TpmCertificate[] {
  try {
    return readAll(text);
  } catch (cause) {
    throw new TouchmarkError('anchors_unreadable', `${file}: ${messageOf(cause)}`, { cause });
  }
}

async function filesOf(path: string): Promise<string[]> {
  const names = await guarded(path, async () =>
    (await stat(path)).isDirectory() ? readdir(path) : undefined,
  );
  if (names === undefined) return [path];
  const chosen = names.filter((name) => /\.(pem|crt)$/i.test(name)).sort();
  if (chosen.length > MAX_FILES) {
    throw new TouchmarkError(
      'anchors_unreadable',
      `${path} has ${chosen.length} files; at most ${MAX_FILES} are read`,
    );
  }
  return chosen.map((name) => join(path, name));
}

async function readText(path: string): Promise<string> {
  return guarded(path, async () => {
    const { size } = await stat(path);
    if (size > MAX_FILE_BYTES) throw new Error(`it has ${size} bytes; at most ${MAX_FILE_BYTES} are read`);
    return readFile(path, 'utf8');
  });
}

async function guarded<T>(path: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    throw new TouchmarkError('anchors_unreadable', `${path} cannot be read: ${messageOf(cause)}`, { cause });
  }
}

function nameKey(name: Uint8Array): string {
  return Buffer.from(name).toString('latin1');
}
