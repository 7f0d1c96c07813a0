import { TouchmarkError } from '../../errors.js';
import type { RpcClient, TypedStream } from '../../rpc/client.js';
import type { Entry } from '../../spiffe/entry.js';
import type {
  Entry as EntryService,
  SyncAuthorizedEntriesResponse,
} from '../../wire/gen/spire/server/entry_pb.js';
import { receivedEntry } from './from-wire.js';

/** What SPIRE's agents ask for. */
const mask = {
  spiffeId: true,
  selectors: true,
  federatesWith: true,
  admin: true,
  downstream: true,
  revisionNumber: true,
  storeSvid: true,
  hint: true,
  additionalAttributes: true,
  createdAt: true,
};

const IDS_PER_REQUEST = 500;
const MOST_ENTRIES = 200_000;

type SyncStream = TypedStream<(typeof EntryService)['method']['syncAuthorizedEntries']>;
type Pages = AsyncIterator<SyncAuthorizedEntriesResponse>;

/**
 * One round of SyncAuthorizedEntries: a small set comes whole; of a large one come the revisions first, and then the
 * entries that are new or have changed since `held`.
 */
export async function syncEntries(
  client: RpcClient<typeof EntryService>,
  held: ReadonlyMap<string, Entry>,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, Entry>> {
  const stream = client.syncAuthorizedEntries({ signal });
  try {
    const pages = stream.responses[Symbol.asyncIterator]();
    // Not awaited: a refusal arrives as the end of the answers.
    stream.send({ outputMask: mask }).catch(() => {});
    const revisions = new Map<string, number>();
    for (;;) {
      const page = await nextPage(pages);
      if (page === undefined) throw cutShort();
      if (revisions.size === 0 && page.entryRevisions.length === 0) return whole(page);
      for (const { id, revisionNumber } of page.entryRevisions) revisions.set(id, Number(revisionNumber));
      if (revisions.size > MOST_ENTRIES) throw tooMany();
      if (!page.more) break;
    }
    return await fetchChanged(stream, pages, revisions, held);
  } finally {
    stream.closeSend();
    stream.cancel();
  }
}

function whole({ entries }: SyncAuthorizedEntriesResponse): Map<string, Entry> {
  if (entries.length > MOST_ENTRIES) throw tooMany();
  return new Map(entries.map((wire) => [wire.id, receivedEntry(wire)]));
}

async function fetchChanged(
  stream: SyncStream,
  pages: Pages,
  revisions: ReadonlyMap<string, number>,
  held: ReadonlyMap<string, Entry>,
): Promise<Map<string, Entry>> {
  const found = new Map<string, Entry>();
  const wanted: string[] = [];
  for (const [id, revision] of revisions) {
    const have = held.get(id);
    if (have?.revisionNumber === revision) found.set(id, have);
    else wanted.push(id);
  }
  for (let at = 0; at < wanted.length; at += IDS_PER_REQUEST) {
    stream.send({ ids: wanted.slice(at, at + IDS_PER_REQUEST) }).catch(() => {});
    for (let more = true; more; ) {
      const page = await nextPage(pages);
      if (page === undefined) throw cutShort();
      for (const wire of page.entries) if (revisions.has(wire.id)) found.set(wire.id, receivedEntry(wire));
      more = page.more;
    }
  }
  return found;
}

async function nextPage(pages: Pages): Promise<SyncAuthorizedEntriesResponse | undefined> {
  const next = await pages.next();
  return next.done === true ? undefined : next.value;
}

function cutShort(): TouchmarkError {
  return new TouchmarkError(
    'server_answer_invalid',
    'the server ended SyncAuthorizedEntries before it was over',
  );
}

function tooMany(): TouchmarkError {
  return new TouchmarkError('server_answer_invalid', `the server sent more than ${MOST_ENTRIES} entries`);
}
