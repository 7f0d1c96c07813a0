import { createPrivateKey, type KeyObject, randomBytes } from 'node:crypto';
import { open, readFile } from 'node:fs/promises';
import { type Clock, unixSeconds } from '../../clock.js';
import { messageOf, TouchmarkError } from '../../errors.js';
import { makeSpiffeId, type TrustDomain } from '../../spiffe/id.js';
import { type CertificateSigner, makeSigner, signCertificate } from '../../x509/certificate.js';
import { verifyChain } from '../../x509/chain.js';
import { type Csr, readCsr } from '../../x509/csr.js';
import { encodeName, type NameParts } from '../../x509/name.js';
import { readPemCertificates } from '../../x509/pem.js';
import { type Certificate, readCertificate } from '../../x509/read-certificate.js';
import type { UpstreamAuthority } from './contract.js';

export interface DiskUpstreamFiles {
  /** PEM: the signing certificate first, then what stands between it and a root. */
  readonly certFile: string;
  /** PEM: its private key. */
  readonly keyFile: string;
  /** PEM: the roots that are published. Empty: the signing certificate is the root. */
  readonly bundleFile: string;
}

export interface DiskUpstreamDeps {
  readonly trustDomain: TrustDomain;
  /** Of the intermediates that it signs. */
  readonly subject: NameParts;
  readonly clock: Clock;
}

interface Loaded {
  readonly signer: CertificateSigner;
  readonly certificate: Certificate;
  readonly above: readonly Certificate[];
  readonly roots: readonly Certificate[];
}

const BACKDATE_SECONDS = 10;
const MAX_BYTES = 1024 * 1024;

/**
 * An authority in files. They are read and checked now, and again at each signing, so that replaced files are taken up.
 * @throws TouchmarkError `upstream_authority_invalid`, `key_file_permissions`
 */
export async function openDiskUpstream(
  files: DiskUpstreamFiles,
  deps: DiskUpstreamDeps,
): Promise<UpstreamAuthority> {
  await load(files, unixSeconds(deps.clock));
  return {
    async mintCa(csr, ttl) {
      const now = unixSeconds(deps.clock);
      const { signer, certificate, above, roots } = await load(files, now);
      const request = readCsr(csr);
      const minted = mint(request, deps, signer, now, Math.min(now + ttl, certificate.notAfter));
      const isRoot = roots.some((root) => Buffer.compare(root.der, certificate.der) === 0);
      const between = isRoot ? [] : [certificate, ...above];
      return { chain: [minted, ...between.map(({ der }) => der)], roots: roots.map(({ der }) => der) };
    },
  };
}

function mint(
  request: Csr,
  { trustDomain, subject }: DiskUpstreamDeps,
  signer: CertificateSigner,
  now: number,
  notAfter: number,
): Uint8Array {
  const uri = makeSpiffeId(trustDomain, '');
  if (request.uris.length !== 1 || request.uris[0] !== uri) {
    throw new TouchmarkError('csr_invalid', `the signing request of an intermediate must name ${uri} alone`);
  }
  const serial = randomBytes(16);
  const serialNumber = BigInt(`0x${serial.toString('hex')}`).toString();
  return signCertificate(
    {
      kind: 'authority',
      serial,
      subject: encodeName({ ...subject, serialNumber }),
      spki: request.spki,
      uri,
      notBefore: now - BACKDATE_SECONDS,
      notAfter,
    },
    signer,
  );
}

async function load({ certFile, keyFile, bundleFile }: DiskUpstreamFiles, now: number): Promise<Loaded> {
  const [certificate, ...above] = await readCertificates(certFile);
  if (certificate === undefined) throw invalid(certFile, 'it holds no certificate');
  const roots = bundleFile === '' ? [certificate] : await readCertificates(bundleFile);
  const key = await readKey(keyFile);
  if (certificate.notAfter <= now) throw invalid(certFile, 'the certificate has ended');
  const signer = attempt(certFile, () => makeSigner(key, certificate.der));
  const known = roots.some((root) => Buffer.compare(root.der, certificate.der) === 0);
  if (!known) attempt(certFile, () => verifyChain(certificate, above, roots, { now }));
  else if (bundleFile === '') attempt(certFile, () => verifyChain(certificate, [], [certificate], { now }));
  return { signer, certificate, above, roots };
}

async function readCertificates(path: string): Promise<Certificate[]> {
  const text = await readText(path);
  return attempt(path, () => readPemCertificates(text).map(readCertificate));
}

/** What the key file holds never stands in an error. */
async function readKey(path: string): Promise<KeyObject> {
  const text = await readText(path, 0o007);
  try {
    return createPrivateKey(text);
  } catch {
    throw invalid(path, 'it holds no private key in PEM');
  }
}

async function readText(path: string, forbiddenMode = 0): Promise<string> {
  try {
    await using file = await open(path, 'r');
    const { mode, size } = await file.stat();
    if ((mode & forbiddenMode) !== 0) {
      throw new TouchmarkError('key_file_permissions', `the key file ${path} can be read by every user`);
    }
    if (size > MAX_BYTES) throw invalid(path, `it is longer than ${MAX_BYTES} bytes`);
    return await readFile(file, 'utf8');
  } catch (error) {
    throw error instanceof TouchmarkError ? error : invalid(path, messageOf(error), error);
  }
}

function attempt<T>(path: string, task: () => T): T {
  try {
    return task();
  } catch (error) {
    throw invalid(path, messageOf(error), error);
  }
}

function invalid(path: string, why: string, cause?: unknown): TouchmarkError {
  return new TouchmarkError(
    'upstream_authority_invalid',
    `the file ${path} of the upstream authority: ${why}`,
    {
      cause,
    },
  );
}
