import { messageOf, TouchmarkError } from '../../errors.js';
import type { Bundle } from '../../spiffe/bundle.js';
import { bundleFromPem } from '../../spiffe/bundle-certificates.js';
import { readBundleDocument } from '../../spiffe/bundle-document.js';
import { type TrustDomain, trustDomainFromOperator, trustDomainOf } from '../../spiffe/id.js';
import { parseJwtSvid } from '../../spiffe/jwt-svid.js';
import { verifyJwtSvid } from '../../spiffe/verify-jwt-svid.js';
import { parseX509Svid, verifyX509Svid } from '../../spiffe/x509-svid.js';
import { readCertificate } from '../../x509/read-certificate.js';
import { fields } from '../output.js';
import { readInput } from '../read-file.js';
import type { Flag, FlagValues, Verb } from '../verb.js';
import { certificatesOf, isPem } from './read-der.js';

const bundleFlag: Flag = {
  name: 'bundle',
  type: 'string',
  doc: 'Bundle to verify with: PEM or a SPIFFE bundle document.',
};

/** PEM or SPIFFE document; a bundle does not know its own name, so it is given. */
export function readBundle(bytes: Buffer, trustDomain: TrustDomain): Bundle {
  return isPem(bytes)
    ? bundleFromPem(trustDomain, bytes.toString('utf8'))
    : readBundleDocument(trustDomain, bytes);
}

const time = (seconds: number) => new Date(seconds * 1000).toISOString().replace('.000Z', 'Z');

export const inspectSvid: Verb = {
  name: 'inspect svid',
  summary: 'Look at an X.509-SVID or a JWT-SVID, and verify it when a bundle is given.',
  example: 'touchmark inspect svid svid.pem -bundle bundle.pem',
  flags: [bundleFlag, { name: 'audience', type: 'string', doc: 'Audience that a JWT-SVID must be for.' }],
  args: [{ name: 'FILE', doc: 'Certificates as PEM or DER, leaf first, or a token.' }],
  run: async ({ args, flags, out }) => {
    const bytes = await readInput(args[0] ?? '');
    const text = bytes.toString('utf8').trim();
    const report = /^[\w-]+\.[\w-]+\.[\w-]+$/.test(text)
      ? await inspectJwt(text, flags)
      : await inspectX509(bytes, flags);
    out.result({
      pretty: fields(Object.entries(report).map(([name, value]) => [name, shown(value)])),
      json: report,
    });
    return report['verified'] === false ? 1 : 0;
  },
};

async function inspectX509(bytes: Buffer, flags: FlagValues): Promise<Record<string, unknown>> {
  const chain = certificatesOf(bytes);
  const svid = parseX509Svid(chain);
  const leaf = readCertificate(chain[0] ?? new Uint8Array());
  return {
    kind: 'X.509-SVID',
    spiffeId: svid.id,
    serial: leaf.serial,
    notBefore: time(leaf.notBefore),
    notAfter: time(leaf.notAfter),
    dnsNames: leaf.dnsNames,
    intermediates: chain.length - 1,
    ...(await verdict(flags, trustDomainOf(svid.id), (bundle) => verifyX509Svid(chain, bundle, now()))),
  };
}

async function inspectJwt(token: string, flags: FlagValues): Promise<Record<string, unknown>> {
  const svid = parseJwtSvid(token);
  const audience = flags.has('audience') ? flags.string('audience') : (svid.audience[0] ?? '');
  return {
    kind: 'JWT-SVID',
    spiffeId: svid.id,
    keyId: svid.keyId,
    algorithm: svid.algorithm,
    audience: svid.audience,
    expiresAt: time(svid.expiresAt),
    ...(await verdict(flags, trustDomainOf(svid.id), (bundles) =>
      verifyJwtSvid(token, { audience, bundles, now: now() }),
    )),
  };
}

async function verdict(
  flags: FlagValues,
  domain: TrustDomain,
  verify: (bundle: Bundle) => unknown,
): Promise<Record<string, unknown>> {
  if (!flags.has('bundle')) return { verified: 'not checked: no bundle was given' };
  const bundle = readBundle(await readInput(flags.string('bundle')), domain);
  try {
    verify(bundle);
    return { verified: true };
  } catch (error) {
    if (!(error instanceof TouchmarkError)) throw error;
    return { verified: false, problem: messageOf(error) };
  }
}

export const inspectBundle: Verb = {
  name: 'inspect bundle',
  summary: 'Look at a bundle: its authorities, keys and sequence.',
  example: 'touchmark inspect bundle bundle.json -trustDomain example.org',
  flags: [
    {
      name: 'trustDomain',
      type: 'string',
      doc: 'Whose bundle it is; a bundle does not say.',
      default: 'unknown',
    },
  ],
  args: [{ name: 'FILE', doc: 'PEM or a SPIFFE bundle document.' }],
  run: async ({ args, flags, out }) => {
    const domain = trustDomainFromOperator(flags.string('trustDomain'));
    const bundle = readBundle(await readInput(args[0] ?? ''), domain);
    const authorities = bundle.x509Authorities.map(({ der }) => {
      const { serial, spki, notAfter, uris } = readCertificate(der);
      return { uris, serial, notAfter: time(notAfter), keyBytes: spki.length };
    });
    const keys = bundle.jwtAuthorities.map(({ keyId, expiresAt }) => ({ keyId, expiresAt }));
    const report = {
      sequence: bundle.sequence.toString(),
      refreshHint: bundle.refreshHint,
      x509: authorities,
      jwt: keys,
    };
    out.result({
      pretty: fields([
        ['Sequence', report.sequence],
        ['Refresh hint', `${bundle.refreshHint} s`],
        ...authorities.map(
          (row) =>
            ['X.509 authority', `${row.uris.join(' ')} serial ${row.serial} until ${row.notAfter}`] as const,
        ),
        ...keys.map(({ keyId }) => ['JWT key', keyId] as const),
      ]),
      json: report,
    });
    return 0;
  },
};

function now(): number {
  return Math.floor(Date.now() / 1000);
}

function shown(value: unknown): string {
  return Array.isArray(value) ? value.join(', ') : String(value);
}
