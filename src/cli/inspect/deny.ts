/** What a server publishes about withdrawn identities, looked at and verified without one. */
import type { Bundle } from '../../spiffe/bundle.js';
import { readDenyFeed, verifyDenyFeed } from '../../spiffe/deny-feed.js';
import { parseTrustDomain, trustDomainFromOperator } from '../../spiffe/id.js';
import { verifyChain } from '../../x509/chain.js';
import { readPem } from '../../x509/pem.js';
import { type Certificate, readCertificate } from '../../x509/read-certificate.js';
import { type Crl, readCrl, verifyCrl } from '../../x509/read-crl.js';
import { fields } from '../output.js';
import { readInput } from '../read-file.js';
import type { Flag, Verb, VerbContext } from '../verb.js';
import { certificatesOf, isPem } from './read-der.js';
import { readBundle } from './svid.js';

const MAX_LIST = 64 * 1024 * 1024;
const bundleFlag: Flag = {
  name: 'bundle',
  type: 'string',
  doc: 'Bundle of the trust domain (PEM or SPIFFE document); without it nothing is verified.',
};

const chainFlag: Flag = {
  name: 'chain',
  type: 'string',
  doc: 'Certificates between the authority of the list and the bundle (PEM or DER), where an upstream authority signs ours: an X.509-SVID comes with them.',
};

export const inspectCrl: Verb = {
  name: 'inspect crl',
  summary: 'Look at revocation lists, and verify them with the bundle.',
  example: 'touchmark inspect crl 3f….crl -bundle bundle.pem',
  flags: [bundleFlag, chainFlag],
  args: [{ name: 'FILE', doc: 'One list as DER, or one or more as PEM.' }],
  run: async (context) => {
    const bytes = await readInput(context.args[0] ?? '', MAX_LIST);
    const lists = isPem(bytes) ? readPem(bytes.toString('latin1')).map(({ der }) => der) : [bytes];
    const bundle = await bundleOf(context, 'unknown');
    const chain = await chainOf(context);
    const reports = lists.map((der) => reportOf(readCrl(der), bundle, chain));
    const [only = {}, ...more] = reports;
    context.out.result({
      pretty: reports.map(crlText).join('\n\n'),
      json: more.length === 0 ? only : { crls: reports },
    });
    return reports.some(({ verified }) => verified === false) ? 1 : 0;
  },
};

function reportOf(crl: Crl, bundle: Bundle | undefined, chain: readonly Certificate[]) {
  return {
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
    verified: bundle === undefined ? null : issuedBy(crl, bundle, chain),
  };
}

function crlText(report: ReturnType<typeof reportOf>): string {
  return fields([
    ['Authority key', report.authority],
    ['Number', report.number],
    ['Signed', report.thisUpdate],
    ['Next by', report.nextUpdate],
    ...report.serials.map(({ serial }) => ['Revoked', serial] as const),
    ['Verified', verdictText(report.verified, 'an authority of the bundle signed it')],
  ]);
}

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
    const verified = bundle === undefined ? null : true;
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
      json: { ...feed, nodes, verified },
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

async function chainOf({ flags }: VerbContext): Promise<Certificate[]> {
  const path = flags.string('chain');
  return path === '' ? [] : certificatesOf(await readInput(path)).map((der) => readCertificate(der));
}

/** Whether the authority that the list names is in the bundle, or below it by the chain, and signed it, and it has not run out. */
function issuedBy(crl: Crl, bundle: Bundle, chain: readonly Certificate[]): boolean {
  const now = Date.now() / 1000;
  const anchors = bundle.x509Authorities.map(({ der }) => readCertificate(der));
  const named = ({ subjectKeyId }: Certificate) => hex(subjectKeyId) === hex(crl.authorityKeyId);
  const anchor = anchors.find(named);
  const issuer = anchor ?? chain.find(named);
  if (issuer === undefined) return false;
  if (anchor === undefined) verifyChain(issuer, chain, anchors, { now });
  verifyCrl(crl, issuer, { now });
  return true;
}

function verdictText(verified: boolean | null, good: string): string {
  if (verified === null) return 'no: give -bundle';
  if (verified) return `yes: ${good}`;
  return 'NO: its authority is not in the bundle; one below an upstream authority is verified with -chain';
}

function hex(bytes: Uint8Array | undefined): string {
  return Buffer.from(bytes ?? []).toString('hex');
}

function timeOf(unixSeconds: number): string {
  return new Date(unixSeconds * 1000).toISOString();
}
