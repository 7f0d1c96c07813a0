import type { KeyObject } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import { TouchmarkError } from '../../errors.js';
import { readCheckpoint } from '../../server/record/checkpoint.js';
import type { ChainHead } from '../../server/record/model.js';
import { recordEvents } from '../../server/record/names.js';
import { type VerifyReport, verifyLog } from '../../server/record/verify.js';
import { readBundleDocument } from '../../spiffe/bundle-document.js';
import { parseTrustDomain } from '../../spiffe/id.js';
import {
  type Event,
  ListEventsResponseSchema,
  type VerifyResponse,
} from '../../wire/gen/touchmark/audit/v1/audit_pb.js';
import { importSpki } from '../../x509/spki.js';
import { fields, printable, table } from '../output.js';
import { readText } from '../read-file.js';
import type { Verb, VerbContext } from '../verb.js';
import { json, type ServerApi, serverFlags, withServer } from './connect.js';
import { findHost } from './host-find.js';
import { readSince } from './since.js';

const MAX_PAGE = 1000;

const list: Verb = {
  name: 'audit list',
  summary: 'List what changed, and who asked for it, out of the server’s record.',
  example: 'touchmark-server audit list -host web-1 -since 24h',
  flags: [
    { name: 'name', type: 'strings', doc: 'Only events of this name.', choices: Object.keys(recordEvents) },
    { name: 'host', type: 'string', doc: 'Only events about this host: its name or the hash of a key.' },
    { name: 'subject', type: 'string', doc: 'Only events about this entry, node, authority or object.' },
    { name: 'since', type: 'string', doc: 'Only events since then: a time (RFC 3339) or an age (24h).' },
    { name: 'limit', type: 'integer', doc: 'How many; the newest ones. 0: all.', default: 100 },
    ...serverFlags,
  ],
  run: (context) =>
    withServer(context, async (api) => {
      const { events, unreadable } = await collect(context, api);
      if (unreadable > 0) context.out.note(`${unreadable} lines cannot be read; see: audit verify`);
      const shown = json(ListEventsResponseSchema, create(ListEventsResponseSchema, { events, unreadable }));
      context.out.result({ pretty: eventsText(events), json: shown });
      return 0;
    }),
};

/** The newest ones are asked for, and shown in the order in which they happened. */
async function collect(
  { flags }: VerbContext,
  api: ServerApi,
): Promise<{ events: Event[]; unreadable: number }> {
  const limit = flags.integer('limit') || Number.POSITIVE_INFINITY;
  const filter = {
    names: [...flags.strings('name')],
    subject: await subjectOf(api, flags.string('host'), flags.string('subject')),
    sinceUnixMs: BigInt(readSince('since', flags.string('since'), Date.now())),
  };
  const events: Event[] = [];
  let unreadable = 0;
  for (let fromSeq = 0n; ; ) {
    const wanted = Math.min(limit - events.length, MAX_PAGE);
    const page = await api.audit.listEvents({ fromSeq, newestFirst: true, limit: wanted, filter });
    events.push(...page.events);
    unreadable += page.unreadable;
    fromSeq = page.nextFromSeq;
    if (fromSeq === 0n || events.length >= limit) return { events: events.reverse(), unreadable };
  }
}

/** A host that was forgotten is still in the record: its whole hash is taken as it is. */
async function subjectOf(api: ServerApi, host: string, subject: string): Promise<string> {
  if (host === '') return subject;
  if (subject !== '') throw new TouchmarkError('flag_invalid', 'give -host or -subject, not both');
  if (/^[0-9a-f]{64}$/.test(host)) {
    return api.host.getHost({ by: { case: 'ekHash', value: host } }).then(
      ({ id }) => id,
      () => host,
    );
  }
  return (await findHost(api, host)).id;
}

export function eventsText(events: readonly Event[]): string {
  if (events.length === 0) return 'No events.';
  const rows = events.map(({ seq, atUnixMs, name, subject, by, fields: all }) => [
    String(seq),
    new Date(Number(atUnixMs)).toISOString(),
    name,
    printable(subject.length > 40 && /^[0-9a-f]+$/.test(subject) ? subject.slice(0, 16) : subject),
    printable(by),
    all.map((field) => printable(`${field.name}=${field.values.join('; ')}`)).join(' '),
  ]);
  return table(['SEQ', 'AT', 'EVENT', 'SUBJECT', 'BY', 'FIELDS'], rows);
}

const verify: Verb = {
  name: 'audit verify',
  summary: 'Verify the record: by the server, or a copy of its files without one.',
  example: 'touchmark-server audit verify -dir /backup/events -bundle bundle.json',
  flags: [
    {
      name: 'dir',
      type: 'string',
      doc: 'A copy of the folder `events`; absent: the server verifies its own.',
    },
    {
      name: 'bundle',
      type: 'string',
      doc: 'With -dir: the bundle, as `bundle show -format spiffe` prints it.',
    },
    {
      name: 'checkpoint',
      type: 'strings',
      doc: 'With -dir: a checkpoint that was kept elsewhere (its jws, or a file with it); it must be in the log.',
    },
    ...serverFlags,
  ],
  run: async (context) => {
    const report = context.flags.has('dir')
      ? await offline(context)
      : await withServer(context, async (api) => reportOf(await api.audit.verify({})));
    context.out.result({ pretty: reportText(report), json: report });
    if (report.problem !== undefined) {
      context.out.note(`the record is not whole: ${report.problem.message}`);
      return 1;
    }
    const uncovered = report.last.seq - report.covered;
    if (uncovered > 1) context.out.note(`${uncovered} lines at the end are not signed yet`);
    return 0;
  },
};

async function offline(context: VerbContext): Promise<VerifyReport> {
  const { flags } = context;
  if (!flags.has('bundle'))
    throw new TouchmarkError('flag_invalid', '-dir needs -bundle: who is to vouch for it');
  const keys = keysOf(await readText(context, flags.string('bundle')));
  const expected = await Promise.all(flags.strings('checkpoint').map((word) => headOf(context, word)));
  const report = await verifyLog({ directory: flags.string('dir'), keys, expected });
  if (expected.length === 0) {
    context.out.note(
      'nothing shows that the end was not cut off: compare with the last line of another copy',
    );
  }
  return report;
}

/** Key ID -> key. The document does not name its trust domain, and none is needed. */
function keysOf(document: string): Map<string, KeyObject> {
  const { jwtAuthorities } = readBundleDocument(parseTrustDomain('unnamed'), document);
  return new Map(jwtAuthorities.map(({ keyId, spki }) => [keyId, importSpki(spki)]));
}

/** What it says counts as known because the operator kept it; its signature was worth something when it was kept. */
async function headOf(context: VerbContext, word: string): Promise<ChainHead> {
  const jws = /^[\w-]{40,}\.[\w-]+\.[\w-]+$/.test(word) ? word : (await readText(context, word)).trim();
  const { seq, hash } = readCheckpoint(jws);
  return { seq, hash };
}

function reportOf(response: VerifyResponse): VerifyReport {
  const { server, segments, events, firstSeq, lastSeq, lastHash, checkpoints } = response;
  const { verifiedCheckpoints, coveredSeq, problemCode, problem } = response;
  return {
    ...{ server, segments: Number(segments), events: Number(events), first: Number(firstSeq) },
    last: { seq: Number(lastSeq), hash: lastHash, at: 0 },
    ...{
      checkpoints: Number(checkpoints),
      verified: Number(verifiedCheckpoints),
      covered: Number(coveredSeq),
    },
    ...(problemCode === '' ? {} : { problem: { code: problemCode, message: problem } }),
  };
}

function reportText(report: VerifyReport): string {
  const { server, first, last, events, segments, checkpoints, verified, covered, problem } = report;
  return fields([
    ['Record of', printable(server)],
    [
      'Lines',
      `${events} in ${segments} files${first > 1 ? `, from ${first} on: older ones were removed` : ''}`,
    ],
    ['Last line', `${last.seq} ${last.hash}`],
    ['Checkpoints', `${checkpoints}, of which ${verified} are vouched for`],
    ['Vouched for', covered === 0 ? 'nothing' : `up to line ${covered}`],
    ['Result', problem === undefined ? 'whole' : `${problem.code}: ${printable(problem.message)}`],
  ]);
}

export const auditVerbs: readonly Verb[] = [list, verify];
