import { create } from '@bufbuild/protobuf';
import { TouchmarkError } from '../../errors.js';
import {
  type Audit,
  type Event,
  EventSchema,
  ListEventsResponseSchema,
  VerifyResponseSchema,
} from '../../wire/gen/touchmark/audit/v1/audit_pb.js';
import type { EventLog } from '../record/contract.js';
import type { RecordedEvent } from '../record/model.js';
import { recordEvents } from '../record/names.js';
import { checkLength } from './fields.js';
import type { ApiService } from './service.js';

export interface AuditApiDeps {
  readonly events: Pick<EventLog, 'list' | 'verify' | 'flushed'>;
}

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1000;
const MAX_SUBJECT = 2100;

/** `touchmark.audit.v1.Audit`: the record of events, read only; nothing can be written to it by a call. */
export function auditService({ events }: AuditApiDeps): ApiService<typeof Audit> {
  return {
    listEvents: async ({ fromSeq, newestFirst, limit, filter }) => {
      const { names = [], subject = '', sinceUnixMs = 0n } = filter ?? {};
      checkNames(names);
      if (subject.length > MAX_SUBJECT) throw invalid(`filter.subject: it has ${subject.length} characters`);
      // What the caller did before this call is shown; where the disk refuses, what is there is shown all the same.
      await events.flushed().catch(() => {});
      const page = await events.list({
        ...{ from: whole('from_seq', fromSeq), newestFirst, names, subject },
        limit: Math.min(limit === 0 ? DEFAULT_LIMIT : limit, MAX_LIMIT),
        since: whole('filter.since_unix_ms', sinceUnixMs),
      });
      return create(ListEventsResponseSchema, {
        events: page.events.map(eventToWire),
        nextFromSeq: BigInt(page.next),
        unreadable: page.unreadable,
      });
    },
    verify: async () => {
      const { server, segments, first, last, checkpoints, verified, covered, problem, ...report } =
        await events.verify();
      return create(VerifyResponseSchema, {
        ...{ server, segments: BigInt(segments), events: BigInt(report.events), firstSeq: BigInt(first) },
        ...{ lastSeq: BigInt(last.seq), lastHash: last.hash, checkpoints: BigInt(checkpoints) },
        ...{ verifiedCheckpoints: BigInt(verified), coveredSeq: BigInt(covered) },
        ...{ problemCode: problem?.code ?? '', problem: problem?.message ?? '' },
      });
    },
  };
}

function eventToWire({
  seq,
  at,
  name,
  subject,
  by,
  fields,
  storeRevision,
  prev,
  hash,
}: RecordedEvent): Event {
  return create(EventSchema, {
    ...{ seq: BigInt(seq), atUnixMs: BigInt(at), name, subject, by, prev, hash },
    storeRevision: BigInt(storeRevision),
    fields: Object.entries(fields).map(([field, value]) => ({
      name: field,
      values: typeof value === 'string' ? [value] : [...value],
    })),
  });
}

function checkNames(names: readonly string[]): void {
  checkLength('filter.names', names, Object.keys(recordEvents).length);
  const unknown = names.find((name) => !Object.hasOwn(recordEvents, name));
  if (unknown !== undefined)
    throw invalid(`filter.names: there is no event ${JSON.stringify(unknown.slice(0, 64))}`);
}

function whole(field: string, value: bigint): number {
  if (value >= 0n && value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value);
  throw invalid(`${field}: ${value} is out of range`);
}

function invalid(message: string): TouchmarkError {
  return new TouchmarkError('argument_invalid', message);
}
