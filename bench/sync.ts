/** A page of 500 entries for an agent that polls, encoded anew and from what is known: `node dist/bench/sync.js [seconds]`. */
import { create, toBinary } from '@bufbuild/protobuf';
import { entriesPage } from '../src/server/api/sync-page.js';
import type { Entry } from '../src/spiffe/entry.js';
import { parseSpiffeId } from '../src/spiffe/id.js';
import { entryToWire } from '../src/wire/entry.js';
import { SyncAuthorizedEntriesResponseSchema } from '../src/wire/gen/spire/server/entry_pb.js';

const seconds = Number(process.argv[2] ?? 2);
const parentId = parseSpiffeId('spiffe://example.org/spire/agent/join_token/bench');
const page = Array.from(
  { length: 500 },
  (_, at): Entry => ({
    id: `00000000-0000-4000-8000-${String(at).padStart(12, '0')}`,
    spiffeId: parseSpiffeId(`spiffe://example.org/w/${at}`),
    parentId,
    selectors: [{ type: 'unix', value: `uid:${at}` }],
    x509SvidTtl: 0,
    jwtSvidTtl: 0,
    federatesWith: [],
    admin: false,
    downstream: false,
    expiresAt: 0,
    dnsNames: [],
    revisionNumber: 1,
    storeSvid: false,
    hint: '',
    createdAt: 1_790_000_000,
    disableX509SvidPrefetch: false,
    jwtSvidIncludeJti: false,
  }),
);

const tasks = {
  anew: () => {
    const entries = page.map((entry) => entryToWire(entry));
    toBinary(SyncAuthorizedEntriesResponseSchema, create(SyncAuthorizedEntriesResponseSchema, { entries }));
  },
  known: () => void entriesPage(page, false, undefined),
};

/** Microseconds per page. */
function measure(task: () => void, ms: number): number {
  const begin = process.hrtime.bigint();
  const end = begin + BigInt(Math.round(ms * 1e6));
  let count = 0;
  let now = begin;
  for (; now < end; now = process.hrtime.bigint(), count += 1) task();
  return Number(now - begin) / 1000 / count;
}

for (const task of Object.values(tasks)) measure(task, 200);
for (let round = 0; round < 3; round += 1) {
  const anew = measure(tasks.anew, (seconds * 1000) / 6);
  const known = measure(tasks.known, (seconds * 1000) / 6);
  process.stdout.write(
    `encoded anew ${anew.toFixed(0)} us; from what is known ${known.toFixed(0)} us; ratio ${(anew / known).toFixed(1)}\n`,
  );
}
