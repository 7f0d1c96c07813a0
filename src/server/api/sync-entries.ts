import { create } from '@bufbuild/protobuf';
import { type Clock, unixSeconds } from '../../clock.js';
import { TouchmarkError } from '../../errors.js';
import type { Answer } from '../../rpc/call.js';
import type { Entry } from '../../spiffe/entry.js';
import {
  EntryRevisionSchema,
  type SyncAuthorizedEntriesRequest,
  type SyncAuthorizedEntriesResponse,
  SyncAuthorizedEntriesResponseSchema,
} from '../../wire/gen/spire/server/entry_pb.js';
import type { EntryMask } from '../../wire/gen/spire/types_pb.js';
import type { Registry } from '../contract.js';
import type { Node } from '../model.js';
import type { ApiCall } from './service.js';
import { entriesPage } from './sync-page.js';

interface SyncDeps {
  readonly registry: Registry;
  readonly clock: Clock;
}

/** As many as SPIRE sends in one message. */
const PAGE = 500;

/** What a node may hold now: its authorised entries that have not reached their end. */
export function currentEntries({ registry, clock }: SyncDeps, node: Node): Entry[] {
  const now = unixSeconds(clock);
  return [...registry.authorizedEntries(node.id).values()].filter((entry) => isCurrent(entry, now));
}

/**
 * SyncAuthorizedEntries (docs/architecture.md): everything at once when it fits one page, else pages of revisions and then, for
 * each request, the entries that it names. The node is checked again at each request.
 */
export async function* syncEntries(
  deps: SyncDeps,
  requests: AsyncIterable<SyncAuthorizedEntriesRequest>,
  call: ApiCall,
): AsyncGenerator<Answer<SyncAuthorizedEntriesResponse>> {
  let mask: EntryMask | undefined;
  let started = false;
  for await (const request of requests) {
    const node = call.issuingNode();
    if (started) {
      yield* pages(namedEntries(deps, node, request.ids), (entries, more) =>
        entriesPage(entries, more, mask),
      );
      continue;
    }
    checkFirst(request);
    mask = request.outputMask;
    started = true;
    const held = currentEntries(deps, node);
    call.audit({ count: held.length });
    if (held.length <= PAGE) {
      yield entriesPage(held, false, mask);
      return;
    }
    yield* pages(held, revisionPage);
  }
}

function checkFirst(request: SyncAuthorizedEntriesRequest): void {
  if (request.ids.length > 0)
    throw new TouchmarkError('argument_invalid', 'ids: the first request must have none');
  if (request.outputMask !== undefined && !request.outputMask.revisionNumber) {
    throw new TouchmarkError('argument_invalid', 'output_mask: it must include revision_number');
  }
}

/** Those of the asked entries that the node may hold now; the others are passed over. */
function namedEntries({ registry, clock }: SyncDeps, node: Node, ids: readonly string[]): Entry[] {
  const now = unixSeconds(clock);
  return ids.flatMap((id) => {
    const entry = registry.entry(id);
    return entry !== undefined && isCurrent(entry, now) && registry.isAuthorized(node.id, entry)
      ? [entry]
      : [];
  });
}

/** At least one page, `more` on all but the last. */
function* pages<T>(entries: readonly Entry[], make: (page: Entry[], more: boolean) => T): Generator<T> {
  for (let from = 0; from === 0 || from < entries.length; from += PAGE) {
    yield make(entries.slice(from, from + PAGE), from + PAGE < entries.length);
  }
}

function revisionPage(page: readonly Entry[], more: boolean): SyncAuthorizedEntriesResponse {
  const entryRevisions = page.map(({ id, revisionNumber, createdAt }) =>
    create(EntryRevisionSchema, { id, revisionNumber: BigInt(revisionNumber), createdAt: BigInt(createdAt) }),
  );
  return create(SyncAuthorizedEntriesResponseSchema, { entryRevisions, more });
}

function isCurrent(entry: Entry, now: number): boolean {
  return entry.expiresAt === 0 || entry.expiresAt > now;
}
