import { create } from '@bufbuild/protobuf';
import type { Clock } from '../../clock.js';
import { TouchmarkError } from '../../errors.js';
import type { Logger } from '../../log.js';
import { type Entry as EntryRecord, weakRemark } from '../../spiffe/entry.js';
import type { TrustDomain } from '../../spiffe/id.js';
import { entryToWire } from '../../wire/entry.js';
import {
  BatchCreateEntryResponse_ResultSchema,
  BatchCreateEntryResponseSchema,
  BatchDeleteEntryResponse_ResultSchema,
  BatchDeleteEntryResponseSchema,
  BatchUpdateEntryResponse_ResultSchema,
  BatchUpdateEntryResponseSchema,
  CountEntriesResponseSchema,
  type Entry,
  GetAuthorizedEntriesResponseSchema,
  ListEntriesResponseSchema,
} from '../../wire/gen/spire/server/entry_pb.js';
import type { EntryMask } from '../../wire/gen/spire/types_pb.js';
import type { Registry } from '../contract.js';
import type { Datastore } from '../datastores/contract.js';
import type { Entries, EntryOutcome, Item } from '../entries/entries.js';
import { entryFilter } from '../entries/filter.js';
import { okStatus, statusOf } from './convert.js';
import { changeFromWire, draftFromWire } from './entry-wire.js';
import { checkLength } from './fields.js';
import { readPage } from './paging.js';
import type { ApiCall, ApiService } from './service.js';
import { currentEntries, syncEntries } from './sync-entries.js';

export interface EntryApiDeps {
  readonly store: Datastore;
  readonly registry: Registry;
  readonly entries: Entries;
  readonly trustDomain: TrustDomain;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Twice what SPIRE's tools send at once. */
const MAX_ITEMS = 1000;

type Methods = ApiService<typeof Entry>;
type ReadMethod =
  | 'countEntries'
  | 'listEntries'
  | 'getEntry'
  | 'getAuthorizedEntries'
  | 'syncAuthorizedEntries';

export function entryService(deps: EntryApiDeps): Methods {
  return { ...readMethods(deps), ...writeMethods(deps) };
}

function readMethods(deps: EntryApiDeps): Pick<Methods, ReadMethod> {
  const { registry, store } = deps;
  return {
    countEntries: async (request) => {
      if (request.filter === undefined)
        return create(CountEntriesResponseSchema, { count: registry.entryCount });
      const test = entryFilter(request.filter);
      let count = 0;
      for (const entry of registry.entries()) if (test(entry)) count += 1;
      return create(CountEntriesResponseSchema, { count });
    },
    listEntries: async (request) => {
      const test = entryFilter(request.filter);
      const page = await readPage(
        { size: request.pageSize, token: request.pageToken },
        (part) => store.list('entry', part),
        ({ value }) => (test(value) ? entryToWire(value, request.outputMask) : undefined),
      );
      return create(ListEntriesResponseSchema, { entries: page.items, nextPageToken: page.nextToken });
    },
    getEntry: async (request) => {
      if (request.id === '') throw new TouchmarkError('argument_invalid', 'id is empty');
      const entry = registry.entry(request.id);
      if (entry !== undefined) return entryToWire(entry, request.outputMask);
      const shown = JSON.stringify(request.id.slice(0, 255));
      throw new TouchmarkError('entry_not_found', `there is no entry ${shown}`);
    },
    getAuthorizedEntries: async (request, call) => {
      const held = currentEntries(deps, call.issuingNode());
      call.audit({ count: held.length });
      const wire = held.map((entry) => entryToWire(entry, request.outputMask));
      return create(GetAuthorizedEntriesResponseSchema, { entries: wire });
    },
    syncAuthorizedEntries: (requests, call) => syncEntries(deps, requests, call),
  };
}

function writeMethods({ entries, log, trustDomain }: EntryApiDeps): Omit<Methods, ReadMethod> {
  return {
    batchCreateEntry: async (request, call) => {
      checkBatch('entries', request.entries);
      const items = request.entries.map((wire) => attempt(() => draftFromWire(wire, trustDomain)));
      const outcomes = await entries.create(items);
      auditBatch(call, outcomes);
      warnWeak(log, outcomes);
      const results = outcomes.map((one) =>
        create(BatchCreateEntryResponse_ResultSchema, resultOf(one, request.outputMask)),
      );
      return create(BatchCreateEntryResponseSchema, { results });
    },
    batchUpdateEntry: async (request, call) => {
      checkBatch('entries', request.entries);
      const { inputMask } = request;
      const items = request.entries.map((wire) =>
        attempt(() => ({ id: wire.id, change: changeFromWire(wire, trustDomain, inputMask) })),
      );
      const outcomes = await entries.update(items);
      auditBatch(call, outcomes);
      warnWeak(log, outcomes);
      const results = outcomes.map((one) =>
        create(BatchUpdateEntryResponse_ResultSchema, resultOf(one, request.outputMask)),
      );
      return create(BatchUpdateEntryResponseSchema, { results });
    },
    batchDeleteEntry: async (request, call) => {
      checkBatch('ids', request.ids);
      const outcomes = await entries.remove(request.ids);
      auditBatch(call, outcomes);
      const results = outcomes.map(({ error }, index) =>
        create(BatchDeleteEntryResponse_ResultSchema, {
          status: error === undefined ? okStatus() : statusOf(error),
          id: request.ids[index] ?? '',
        }),
      );
      return create(BatchDeleteEntryResponseSchema, { results });
    },
  };
}

function checkBatch(field: string, items: readonly unknown[]): void {
  checkLength(field, items, MAX_ITEMS);
}

function attempt<T>(read: () => T): Item<T> {
  try {
    return read();
  } catch (error) {
    if (error instanceof TouchmarkError) return error;
    throw error;
  }
}

/** The existing entry comes with AlreadyExists; an entry whose selectors are weak comes with a word about it. */
function resultOf({ entry, error }: EntryOutcome, mask: EntryMask | undefined) {
  const weak = entry === undefined ? undefined : weakRemark(entry.selectors);
  const status =
    error !== undefined ? statusOf(error) : okStatus(weak === undefined ? 'OK' : `weak selectors: ${weak}`);
  return entry === undefined ? { status } : { status, entry: entryToWire(entry, mask) };
}

function warnWeak(log: Logger, outcomes: readonly EntryOutcome[]): void {
  for (const { entry, error } of outcomes) {
    const weak = entry === undefined || error !== undefined ? undefined : weakRemark(entry.selectors);
    if (weak !== undefined) log.warn('an entry has weak selectors', { entry_id: entry?.id, reason: weak });
  }
}

function auditBatch(call: ApiCall, outcomes: readonly EntryOutcome[]): void {
  const done = outcomes.flatMap(({ entry, error }): EntryRecord[] =>
    entry === undefined || error !== undefined ? [] : [entry],
  );
  call.audit({
    count: outcomes.length,
    failed: outcomes.length - done.length,
    entry_ids: done.slice(0, 20).map((entry) => entry.id),
  });
}
