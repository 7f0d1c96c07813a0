// Issuing against the raw limit of OpenSSL in the same process: node dist/bench/x509.js [seconds]
import { createPublicKey, generateKeyPairSync, randomBytes, sign, verify } from 'node:crypto';
import { leafSubject, selfSign, signCertificate } from '../src/x509/certificate.js';
import { buildCsr, readCsr } from '../src/x509/csr.js';
import { encodeName } from '../src/x509/name.js';
import { readCertificate } from '../src/x509/read-certificate.js';

const seconds = Number(process.argv[2] ?? 2);
const newKey = () => generateKeyPairSync('ec', { namedCurve: 'P-256' });
const year = 365 * 86_400;
const start = 1_790_000_000;

const authority = selfSign(
  {
    kind: 'authority',
    serial: randomBytes(16),
    subject: encodeName({ country: 'US', organization: 'Touchmark' }),
    notBefore: start,
    notAfter: start + year,
    uri: 'spiffe://example.org',
  },
  newKey().privateKey,
);
const { privateKey, publicKey } = newKey();
const csr = buildCsr({ key: privateKey, uris: ['spiffe://example.org/workload'] });
const spki = publicKey.export({ format: 'der', type: 'spki' });
const signature = sign('sha256', csr, privateKey);
const subject = leafSubject([]);

function issue(): Uint8Array {
  const request = readCsr(csr);
  return signCertificate(
    {
      kind: 'leaf',
      serial: randomBytes(16),
      subject,
      notBefore: start,
      notAfter: start + 3600,
      spki: request.spki,
      uri: 'spiffe://example.org/workload',
      dnsNames: [],
    },
    authority,
  );
}

function rawOpenssl(): void {
  const key = createPublicKey({ key: spki, format: 'der', type: 'spki' });
  if (!verify('sha256', csr, key, signature)) throw new Error('the raw signature is bad');
  sign('sha256', csr, authority.key);
}

/** Microseconds per call. */
function measure(task: () => unknown): number {
  for (let i = 0; i < 300; i++) task();
  const begin = process.hrtime.bigint();
  const end = begin + BigInt(Math.round((seconds / 4) * 1e9));
  let count = 0;
  let now = begin;
  for (; now < end; now = process.hrtime.bigint()) {
    for (let i = 0; i < 20; i++) task();
    count += 20;
  }
  return Number(now - begin) / 1000 / count;
}

const leaf = issue();
const rounds = [0, 1, 2].map(() => ({
  raw: measure(rawOpenssl),
  issue: measure(issue),
  read: measure(() => readCertificate(leaf)),
}));
for (const { raw, issue: ours, read } of rounds) {
  process.stdout.write(
    `raw OpenSSL ${raw.toFixed(0)} us; parse + verify + sign ${ours.toFixed(0)} us ` +
      `(${Math.round(1e6 / ours)}/s, ${((raw / ours) * 100).toFixed(0)} % of raw); read back ${read.toFixed(1)} us\n`,
  );
}
