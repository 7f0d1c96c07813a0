/** What a server publishes about withdrawn identities, looked at and verified without one. */
import type { Bundle } from '../../spiffe/bundle.js';
import { readDenyFeed, verifyDenyFeed } from '../../spiffe/deny-feed.js';
import { parseTrustDomain, trustDomainFromOperator } from '../../spiffe/id.js';
import { readPem } from '../../x509/pem.js';
import { readCertificate } from '../../x509/read-certificate.js';
import { type Crl, readCrl, verifyCrl } from '../../x509/read-crl.js';
import { fields } from '../output.js';
import type { Flag, Verb, VerbContext } from '../verb.js';
import { isPem, readInput } from './read-der.js';
import { readBundle } from './svid.js';

const MAX_LIST = 64 * 1024 * 1024;
const bundleFlag: Flag = {
  name: 'bundle',
  type: 'string',
  doc: 'Bundle of the trust domain (PEM or SPIFFE document); without it nothing is verified.',
};

export const inspectCrl: Verb = {
  name: 'inspect crl',
  summary: 'Look at a revocation list, and verify it with the bundle.',
  example: 'touchmark inspect crl 3f….crl -bundle bundle.pem',
  flags: [bundleFlag],
  args: [{ name: 'FILE', doc: 'DER or PEM.' }],
  run: async (context) => {
    const bytes = await readInput(context.args[0] ?? '', MAX_LIST);
    const der = isPem(bytes) ? (readPem(bytes.toString('latin1'))[0]?.der ?? bytes) : bytes;
    const crl = readCrl(der);
    const bundle = await bundleOf(context, 'unknown');
    const verified = bundle === undefined ? undefined : issuedBy(crl, bundle);
    const report = {
      authority: hex(crl.authorityKeyId),
      number: String(crl.number ?? 'none'),
      thisUpdate: timeOf(crl.thisUpdate),
      nextUpdate: timeOf(crl.nextUpdate),
      revoked: crl.entries.size,
      serials: [...crl.entries].map(([serial, { revokedAt, reason }]) => ({
        serial,
        revokedAt: timeOf(revokedAt),
        reason,
      })),
      verified: verified ?? null,
    };
    context.out.result({
      pretty: fields([
        ['Authority key', report.authority],
        ['Number', report.number],
        ['Signed', report.thisUpdate],
        ['Next by', report.nextUpdate],
        ...[...crl.entries.keys()].map((serial) => ['Revoked', serial] as const),
        ['Verified', verdictText(verified, 'an authority of the bundle signed it')],
      ]),
      json: report,
    });
    return verified === false ? 1 : 0;
  },
};

export const inspectDenyFeed: Verb = {
  name: 'inspect deny-feed',
  summary: 'Look at a deny feed, and verify it with the bundle.',
  example: 'touchmark inspect deny-feed feed.jws -bundle bundle.json',
  flags: [bundleFlag],
  args: [{ name: 'FILE', doc: 'A compact JWS, as the server gives it at /deny-feed.' }],
  run: async (context) => {
    const text = (await readInput(context.args[0] ?? '', MAX_LIST)).toString('utf8').trim();
    const said = readDenyFeed(text);
    const bundle = await bundleOf(context, said.domain);
    const feed = bundle === undefined ? said : verifyDenyFeed(text, bundle, Date.now() / 1000);
    const nodes = feed.nodes.map(({ id, issuedBefore, until }) => ({
      id,
      issuedBefore: timeOf(issuedBefore),
      until: timeOf(until),
    }));
    const verified = bundle === undefined ? undefined : true;
    context.out.result({
      pretty: fields([
        ['Trust domain', feed.domain],
        ['Sequence', String(feed.sequence)],
        ['Signed', timeOf(feed.thisUpdate)],
        ['Next by', timeOf(feed.nextUpdate)],
        ...nodes.map(
          (node) =>
            ['Denied', `${node.id}, issued before ${node.issuedBefore}, until ${node.until}`] as const,
        ),
        ['Serials', String(feed.serials.length)],
        ...(feed.serialsOmitted > 0 ? [['Left out', `${feed.serialsOmitted} serials`] as const] : []),
        ['Verified', verdictText(verified, 'a JWT authority of the bundle signed it')],
      ]),
      json: { ...feed, nodes, verified: verified ?? null },
    });
    return 0;
  },
};

async function bundleOf({ flags }: VerbContext, domain: string): Promise<Bundle | undefined> {
  const path = flags.string('bundle');
  if (path === '') return undefined;
  const of = domain === 'unknown' ? trustDomainFromOperator(domain) : parseTrustDomain(domain);
  return readBundle(await readInput(path), of);
}

/** Whether the authority that the list names is in the bundle, and signed it, and it has not run out. */
function issuedBy(crl: Crl, bundle: Bundle): boolean {
  const issuer = bundle.x509Authorities
    .map(({ der }) => readCertificate(der))
    .find(({ subjectKeyId }) => hex(subjectKeyId) === hex(crl.authorityKeyId));
  if (issuer === undefined) return false;
  verifyCrl(crl, issuer, { now: Date.now() / 1000 });
  return true;
}

function verdictText(verified: boolean | undefined, good: string): string {
  if (verified === undefined) return 'no: give -bundle';
  return verified ? `yes: ${good}` : 'NO: its authority is not in the bundle';
}

function hex(bytes: Uint8Array | undefined): string {
  return Buffer.from(bytes ?? []).toString('hex');
}

function timeOf(unixSeconds: number): string {
  return new Date(unixSeconds * 1000).toISOString();
}
