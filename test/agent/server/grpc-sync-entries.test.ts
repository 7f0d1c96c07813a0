import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { anyPack } from '@bufbuild/protobuf/wkt';
import type { ServerApi } from '../../../src/agent/server/api.js';
import { grpcServerApi } from '../../../src/agent/server/grpc-api.js';
import { systemClock } from '../../../src/clock.js';
import { TouchmarkError } from '../../../src/errors.js';
import { silentLogger } from '../../../src/log.js';
import type { ServiceImpl } from '../../../src/rpc/call.js';
import { unixChannel } from '../../../src/rpc/channel.js';
import { withDetails } from '../../../src/rpc/error-status.js';
import { createRpcServer } from '../../../src/rpc/server.js';
import { listenUnix } from '../../../src/rpc/unix-listener.js';
import { Bundle as BundleService } from '../../../src/wire/gen/spire/server/bundle_pb.js';
import {
  Entry as EntryService,
  SyncAuthorizedEntriesResponseSchema,
} from '../../../src/wire/gen/spire/server/entry_pb.js';
import { BatchNewX509SVIDResponseSchema, SVID } from '../../../src/wire/gen/spire/server/svid_pb.js';
import {
  PermissionDeniedDetailsSchema,
  PermissionDeniedDetails_Reason as Reason,
} from '../../../src/wire/gen/spire/types_pb.js';
import { makeEntry } from '../../fakes/entries.js';

type Services = {
  entry?: ServiceImpl<typeof EntryService, string>;
  bundle?: ServiceImpl<typeof BundleService, string>;
  svid?: ServiceImpl<typeof SVID, string>;
};

/** A server as SPIRE's: these services, no session stream. */
async function spireLike(t: test.TestContext, services: Services): Promise<ServerApi> {
  const directory = await mkdtemp(join(tmpdir(), 'tm-spire-'));
  const server = createRpcServer<string>({ clock: systemClock, log: silentLogger() });
  server.add(EntryService, services.entry ?? {});
  server.add(BundleService, services.bundle ?? {});
  server.add(SVID, services.svid ?? {});
  const path = join(directory, 'api.sock');
  const listener = await listenUnix({
    server,
    log: silentLogger(),
    clock: systemClock,
    at: { path, mode: 0o600 },
    identify: async () => 'agent',
    keyOf: (caller) => caller,
  });
  const channel = unixChannel(path);
  t.after(async () => {
    channel.close();
    await server.close(0);
    await listener.close();
    await rm(directory, { recursive: true, force: true });
  });
  return grpcServerApi(channel, '0.0.0-test', () => undefined);
}

const never = new AbortController().signal;
const page = (fields: MessageInitShape<typeof SyncAuthorizedEntriesResponseSchema>) =>
  create(SyncAuthorizedEntriesResponseSchema, fields);
const wire = (id: string, revision = 0) => ({
  id,
  spiffeId: { trustDomain: 'example.org', path: `/${id}` },
  selectors: [{ type: 'unix', value: 'uid:1' }],
  federatesWith: ['spiffe://partner.example'],
  revisionNumber: BigInt(revision),
});

test('a small set comes whole, under the mask of SPIRE agents', async (t) => {
  const masks: unknown[] = [];
  const api = await spireLike(t, {
    entry: {
      async *syncAuthorizedEntries(requests) {
        for await (const { outputMask, ids } of requests) {
          masks.push([outputMask?.revisionNumber, outputMask?.spiffeId, outputMask?.x509SvidTtl, ids.length]);
          yield page({ entries: [wire('a'), wire('b', 3)], entryRevisions: [], more: false });
          return;
        }
      },
    },
  });
  const entries = await api.syncEntries(new Map(), never);
  assert.deepEqual(masks, [[true, true, false, 0]]);
  assert.deepEqual([...entries.keys()], ['a', 'b']);
  assert.equal(entries.get('b')?.revisionNumber, 3);
  assert.deepEqual(entries.get('a')?.federatesWith, ['partner.example']);
});

test('of a large set only what is new or has changed is asked for, in pages', async (t) => {
  const asked: string[][] = [];
  const all = Array.from({ length: 1_201 }, (_, at) => `e${at}`);
  const api = await spireLike(t, {
    entry: {
      async *syncAuthorizedEntries(requests) {
        let first = true;
        for await (const { ids } of requests) {
          if (first) {
            for (let at = 0; at < all.length; at += 500) {
              const entryRevisions = all
                .slice(at, at + 500)
                .map((id) => ({ id, revisionNumber: 1n, createdAt: 0n }));
              yield page({ entries: [], entryRevisions, more: at + 500 < all.length });
            }
            first = false;
            continue;
          }
          asked.push([...ids]);
          const half = Math.ceil(ids.length / 2);
          yield page({
            entries: ids.slice(0, half).map((id) => wire(id, 1)),
            entryRevisions: [],
            more: true,
          });
          const rest = ids.slice(half).filter((id) => id !== 'e1200');
          yield page({ entries: rest.map((id) => wire(id, 1)), entryRevisions: [], more: false });
        }
      },
    },
  });
  const held = new Map([
    ['e0', makeEntry('e0', { revisionNumber: 1 })],
    ['e1', makeEntry('e1', { revisionNumber: 0 })],
    ['gone', makeEntry('gone', { revisionNumber: 1 })],
  ]);
  const entries = await api.syncEntries(held, never);
  assert.deepEqual(
    asked.map((ids) => ids.length),
    [500, 500, 200],
  );
  assert.ok(!asked.flat().includes('e0') && asked.flat().includes('e1'));
  assert.equal(entries.get('e0'), held.get('e0'));
  assert.equal(entries.size, 1_200, 'the entry that went meanwhile is not there');
  assert.ok(!entries.has('gone'));
});

test('a stream that ends too early and an entry that makes no sense are refused', async (t) => {
  let answer: Parameters<typeof page>[0][] = [
    { entries: [], entryRevisions: [{ id: 'a', revisionNumber: 1n }], more: true },
  ];
  const api = await spireLike(t, {
    entry: {
      async *syncAuthorizedEntries() {
        for (const one of answer) yield page(one);
      },
    },
  });
  await assert.rejects(api.syncEntries(new Map(), never), {
    code: 'server_answer_invalid',
    message: 'the server ended SyncAuthorizedEntries before it was over',
  });
  answer = [{ entries: [{ ...wire('a'), spiffeId: { trustDomain: 'Example', path: '/a' } }], more: false }];
  await assert.rejects(api.syncEntries(new Map(), never), {
    code: 'server_answer_invalid',
    message:
      'the server sent entry "a" that makes no sense: entry.spiffe_id: trust_domain: trust domain "Example": it has a character outside a-z 0-9 . - _',
  });
});

test('refusals keep the words of the server, and reasons about the agent become their own codes', async (t) => {
  let refusal = new TouchmarkError('agent_banned', 'agent is banned');
  const refuse = (reason?: Reason) => {
    if (reason === undefined) throw refusal;
    const details = create(PermissionDeniedDetailsSchema, { reason });
    throw withDetails(refusal, [anyPack(PermissionDeniedDetailsSchema, details)]);
  };
  let reason: Reason | undefined = Reason.AGENT_BANNED;
  const api = await spireLike(t, { bundle: { getBundle: async () => refuse(reason) as never } });
  await assert.rejects(api.bundle(never), {
    code: 'node_banned',
    message: 'the server says: agent is banned',
  });
  refusal = new TouchmarkError('agent_expired', 'agent has expired');
  reason = Reason.AGENT_EXPIRED;
  await assert.rejects(api.bundle(never), {
    code: 'node_refused',
    message: 'the server says: agent has expired',
  });
  refusal = new TouchmarkError('agent_banned', 'not for you');
  reason = undefined;
  await assert.rejects(api.bundle(never), {
    code: 'server_refused',
    message: 'the server says: not for you',
  });
});

test('a server without sessions says so, and an unknown foreign domain is none', async (t) => {
  const api = await spireLike(t, {
    bundle: {
      getFederatedBundle: async () => {
        throw new TouchmarkError('agent_not_found', 'no such bundle');
      },
    },
  });
  const stream = api.openSession({ revision: 0n, epoch: '', bundleSequence: 0n, features: [] }, never);
  await assert.rejects(stream[Symbol.asyncIterator]().next(), { code: 'server_unimplemented' });
  assert.equal(await api.federatedBundle('partner.example' as never, never), undefined);
});

test('each request of a batch has its own answer', async (t) => {
  const api = await spireLike(t, {
    svid: {
      batchNewX509SVID: async ({ params }) =>
        create(BatchNewX509SVIDResponseSchema, {
          results: params.map(({ entryId }) =>
            entryId === 'a'
              ? { status: { code: 0, message: 'OK' }, svid: { certChain: [Buffer.from('x')] } }
              : { status: { code: 5, message: 'entry not found' } },
          ),
        }),
    },
  });
  const csr = Buffer.alloc(1);
  const [a, b] = await api.signX509(
    [
      { entryId: 'a', csr },
      { entryId: 'b', csr },
    ],
    never,
  );
  assert.ok(a !== undefined && 'chain' in a && Buffer.from(a.chain[0] ?? '').toString() === 'x');
  assert.ok(b !== undefined && 'error' in b);
  assert.deepEqual([b.error.code, b.error.message], ['server_refused', 'the server says: entry not found']);
});
