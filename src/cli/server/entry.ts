import { create } from '@bufbuild/protobuf';
import { TouchmarkError } from '../../errors.js';
import { parseJson } from '../../spiffe/json.js';
import {
  BatchCreateEntryResponseSchema,
  BatchDeleteEntryResponseSchema,
  BatchUpdateEntryResponseSchema,
  CountEntriesResponseSchema,
  ListEntriesResponseSchema,
} from '../../wire/gen/spire/server/entry_pb.js';
import type { Entry, Status } from '../../wire/gen/spire/types_pb.js';
import { readText } from '../read-file.js';
import type { Flag, FlagValues, Verb, VerbContext } from '../verb.js';
import {
  allPages,
  failures,
  idMessage,
  json,
  remarks,
  type ServerApi,
  selectorMessages,
  serverFlags,
  withServer,
} from './connect.js';
import { entriesOf, entryFlags } from './entry-flags.js';
import { count, entriesText } from './entry-view.js';
import { matchBehaviour, matchFlags } from './match-flags.js';

const dataFlag: Flag = {
  name: 'data',
  type: 'string',
  doc: 'JSON file with entries, or - for standard input.',
};
const attributeFlags: readonly Flag[] = [
  { name: 'disableX509SVIDPrefetch', type: 'boolean', doc: 'Sign X.509-SVIDs only when a workload asks.' },
  { name: 'jwtSVIDIncludeJTI', type: 'boolean', doc: 'Give each JWT-SVID an identifier of its own.' },
];

const createVerb: Verb = {
  name: 'entry create',
  summary: 'Register a workload.',
  example:
    'touchmark-server entry create -parentID spiffe://example.org/host/web-1 -spiffeID spiffe://example.org/web -selector unix:user:www-data',
  flags: [
    ...entryFlags,
    ...attributeFlags,
    { name: 'entryID', type: 'string', doc: 'An id of your own; otherwise the server gives one.' },
    { name: 'node', type: 'boolean', doc: 'A node alias: the parent is the server.' },
    dataFlag,
    ...serverFlags,
  ],
  run: (context) => withServer(context, (api) => createEntries(context, api)),
};

async function createEntries(context: VerbContext, api: ServerApi): Promise<number> {
  const flags = context.flags.boolean('node') ? await asNodeAlias(context.flags, api) : context.flags;
  const entries = await entriesOf({ ...context, flags });
  const response = await api.entry.batchCreateEntry({ entries });
  const made = response.results.flatMap(({ status, entry }) => (status?.code === 0 && entry ? [entry] : []));
  context.out.result({
    pretty: made.length > 0 ? entriesText(`Created ${count(made.length, 'entry', 'entries')}`, made) : '',
    json: json(BatchCreateEntryResponseSchema, response),
  });
  return finish(context, response.results);
}

/** A node alias hangs below the server's own ID. */
async function asNodeAlias(flags: FlagValues, api: ServerApi): Promise<FlagValues> {
  if (flags.has('parentID'))
    throw new TouchmarkError('flag_invalid', '-node and -parentID exclude each other');
  const { trustDomain } = await api.bundle.getBundle({ outputMask: {} });
  return flags.with('parentID', `spiffe://${trustDomain}/spire/server`);
}

const updateVerb: Verb = {
  name: 'entry update',
  summary: 'Replace what an entry says.',
  example:
    'touchmark-server entry update -entryID 7d3f… -parentID spiffe://example.org/host/web-1 -spiffeID spiffe://example.org/web -selector unix:uid:33',
  flags: [
    { name: 'entryID', type: 'string', doc: 'The entry.' },
    ...entryFlags,
    ...attributeFlags,
    dataFlag,
    ...serverFlags,
  ],
  run: (context) =>
    withServer(context, async (api) => {
      if (!context.flags.has('data') && !context.flags.has('entryID')) {
        throw new TouchmarkError('flag_invalid', '-entryID is required');
      }
      const entries = await entriesOf(context);
      const response = await api.entry.batchUpdateEntry({ entries });
      const changed = response.results.flatMap(({ status, entry }) =>
        status?.code === 0 && entry ? [entry] : [],
      );
      context.out.result({
        pretty:
          changed.length > 0
            ? entriesText(`Updated ${count(changed.length, 'entry', 'entries')}`, changed)
            : '',
        json: json(BatchUpdateEntryResponseSchema, response),
      });
      return finish(context, response.results);
    }),
};

const filterFlags: readonly Flag[] = [
  { name: 'parentID', type: 'string', doc: 'Only entries of this parent.' },
  { name: 'spiffeID', type: 'string', doc: 'Only entries of this identity.' },
  { name: 'selector', type: 'strings', doc: 'Only entries with such selectors.' },
  { name: 'federatesWith', type: 'strings', doc: 'Only entries that federate with it.' },
  { name: 'downstream', type: 'boolean', doc: 'Only downstream entries.' },
  { name: 'hint', type: 'string', doc: 'Only entries with this hint.' },
  ...matchFlags('matchSelectorsOn', 'selectors'),
  ...matchFlags('matchFederatesWithOn', 'trust domains'),
];

const showVerb: Verb = {
  name: 'entry show',
  summary: 'Show entries.',
  example: 'touchmark-server entry show -selector unix:user:www-data',
  flags: [{ name: 'entryID', type: 'string', doc: 'Only this entry.' }, ...filterFlags, ...serverFlags],
  run: (context) =>
    withServer(context, async (api) => {
      const entries = await foundEntries(context.flags, api);
      context.out.result({
        pretty: entriesText(`Found ${count(entries.length, 'entry', 'entries')}`, entries),
        json: json(ListEntriesResponseSchema, create(ListEntriesResponseSchema, { entries })),
      });
      return 0;
    }),
};

async function foundEntries(flags: FlagValues, api: ServerApi): Promise<Entry[]> {
  if (flags.has('entryID')) return [await api.entry.getEntry({ id: flags.string('entryID') })];
  return allPages(async (pageToken) => {
    const page = await api.entry.listEntries({ filter: filterOf(flags), pageSize: 500, pageToken });
    return [page.entries, page.nextPageToken];
  });
}

const countVerb: Verb = {
  name: 'entry count',
  summary: 'Count entries.',
  example: 'touchmark-server entry count',
  flags: [...filterFlags, ...serverFlags],
  run: (context) =>
    withServer(context, async (api) => {
      const response = await api.entry.countEntries({ filter: filterOf(context.flags) });
      context.out.result({
        pretty: count(response.count, 'registration entry', 'registration entries'),
        json: json(CountEntriesResponseSchema, response),
      });
      return 0;
    }),
};

const deleteVerb: Verb = {
  name: 'entry delete',
  summary: 'Delete entries; their identities end at once.',
  example: 'touchmark-server entry delete -entryID 7d3f2c1a-…',
  flags: [
    { name: 'entryID', type: 'string', doc: 'The entry.' },
    { name: 'file', type: 'string', doc: 'JSON list of ids, or - for standard input.' },
    ...serverFlags,
  ],
  run: (context) =>
    withServer(context, async (api) => {
      const response = await api.entry.batchDeleteEntry({ ids: await idsOf(context) });
      const deleted = response.results.filter(({ status }) => status?.code === 0);
      context.out.result({
        pretty: deleted.map(({ id }) => `Deleted entry with ID: ${id}`).join('\n'),
        json: json(BatchDeleteEntryResponseSchema, response),
      });
      return finish(context, response.results);
    }),
};

async function idsOf(context: VerbContext): Promise<string[]> {
  const { flags } = context;
  if (flags.has('entryID') === flags.has('file')) {
    throw new TouchmarkError('flag_invalid', 'give either -entryID or -file');
  }
  if (flags.has('entryID')) return [flags.string('entryID')];
  const path = flags.string('file');
  const document = parseJson(await readText(context, path)) as { ids?: unknown };
  const ids: unknown = Array.isArray(document) ? document : document?.ids;
  if (!Array.isArray(ids) || !ids.every((id) => typeof id === 'string'))
    throw new TouchmarkError('data_invalid', `${path} holds no list of entry ids under "ids"`);
  return ids;
}

function filterOf(flags: FlagValues) {
  return {
    ...(flags.has('parentID') ? { byParentId: idMessage(flags.string('parentID')) } : {}),
    ...(flags.has('spiffeID') ? { bySpiffeId: idMessage(flags.string('spiffeID')) } : {}),
    ...(flags.has('selector')
      ? {
          bySelectors: {
            selectors: selectorMessages(flags.strings('selector')),
            match: matchBehaviour(flags.string('matchSelectorsOn')),
          },
        }
      : {}),
    ...(flags.has('federatesWith')
      ? {
          byFederatesWith: {
            trustDomains: [...flags.strings('federatesWith')],
            match: matchBehaviour(flags.string('matchFederatesWithOn')),
          },
        }
      : {}),
    ...(flags.has('hint') ? { byHint: flags.string('hint') } : {}),
    ...(flags.has('downstream') ? { byDownstream: flags.boolean('downstream') } : {}),
  };
}

function finish({ out }: VerbContext, results: readonly { status?: Status | undefined }[]): number {
  const failed = failures(results);
  for (const line of [...remarks(results).map((remark) => `warning: ${remark}`), ...failed]) out.note(line);
  return failed.length > 0 ? 1 : 0;
}

export const entryVerbs: readonly Verb[] = [createVerb, updateVerb, showVerb, countVerb, deleteVerb];
