import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Agent } from '../../../src/wire/gen/spire/server/agent_pb.js';
import { Entry, type SyncAuthorizedEntriesResponse } from '../../../src/wire/gen/spire/server/entry_pb.js';
import type { TestAgent } from '../../fakes/test-server.js';
import { all, entry, reasonOf, refused, type Stage, stage, textId, wireId } from './support.js';

const paths = (entries: readonly { spiffeId?: { path: string } | undefined }[]) =>
  entries.map(({ spiffeId }) => spiffeId?.path).toSorted();

async function filled(on: Stage, agent: TestAgent, count: number): Promise<string[]> {
  const ids: string[] = [];
  for (let from = 0; from < count; from += 400) {
    const some = Array.from({ length: Math.min(400, count - from) }, (_, at) =>
      entry(`/w/${from + at}`, agent.id),
    );
    ids.push(...(await on.entries(...some)));
  }
  return ids;
}

test('a node is given its descendants and those of its aliases, and a new entry at once', async (t) => {
  const on = await stage(t);
  const agent = await on.agent({ agentPath: '/group' });
  const other = await on.agent();
  const client = on.as(agent, Entry);
  assert.deepEqual(paths((await client.getAuthorizedEntries({})).entries), ['/group']);
  await on.entries(
    entry('/mine', agent.id),
    entry('/ours', 'spiffe://example.org/group'),
    entry('/below', 'spiffe://example.org/mine'),
    entry('/theirs', other.id),
  );
  assert.deepEqual(paths((await client.getAuthorizedEntries({})).entries), [
    '/below',
    '/group',
    '/mine',
    '/ours',
  ]);
  assert.deepEqual(paths((await on.as(other, Entry).getAuthorizedEntries({})).entries), ['/theirs']);
  const masked = await client.getAuthorizedEntries({ outputMask: { hint: true } });
  assert.ok(masked.entries.every((one) => one.id !== '' && one.spiffeId === undefined));
});

test('what fits one page comes whole in one message and the call ends', async (t) => {
  const on = await stage(t);
  const agent = await on.agent();
  const stream = on.as(agent, Entry).syncAuthorizedEntries();
  await stream.send({ outputMask: { revisionNumber: true, spiffeId: true } });
  const empty = await all(stream.responses);
  assert.deepEqual(
    empty.map(({ entries, more }) => [entries.length, more]),
    [[0, false]],
  );
  await filled(on, agent, 500);
  const second = on.as(agent, Entry).syncAuthorizedEntries();
  await second.send({});
  const [whole, ...rest] = await all(second.responses);
  assert.deepEqual(
    [whole?.entries.length, whole?.entryRevisions.length, whole?.more, rest.length],
    [500, 0, false, 0],
  );
});

test('beyond one page come revisions, then the entries that are asked for', async (t) => {
  const on = await stage(t);
  const agent = await on.agent();
  const ids = await filled(on, agent, 1100);
  const stream = on.as(agent, Entry).syncAuthorizedEntries();
  const answers = stream.responses[Symbol.asyncIterator]();
  const next = async () => {
    const { value }: IteratorResult<SyncAuthorizedEntriesResponse, undefined> = await answers.next();
    return { entries: value?.entries ?? [], revisions: value?.entryRevisions ?? [], more: value?.more };
  };
  await stream.send({ outputMask: { revisionNumber: true, hint: true } });
  const pages = [await next(), await next(), await next()];
  assert.deepEqual(
    pages.map((page) => [page.revisions.length, page.entries.length, page.more]),
    [
      [500, 0, true],
      [500, 0, true],
      [100, 0, false],
    ],
  );
  const told = pages.flatMap(({ revisions }) => revisions.map(({ id }) => id));
  assert.deepEqual(told.toSorted(), ids.toSorted());
  await stream.send({ ids: ids.slice(0, 700) });
  const asked = [await next(), await next()];
  assert.deepEqual(
    asked.map((page) => [page.entries.length, page.more]),
    [
      [500, true],
      [200, false],
    ],
  );
  assert.ok(
    asked[0]?.entries.every((one) => one.spiffeId === undefined),
    'the first mask holds',
  );
  await stream.send({ ids: ['nothing', ids[900] ?? ''] });
  assert.deepEqual(
    (await next()).entries.map(({ id }) => id),
    [ids[900]],
  );
  await stream.send({ ids: ['nothing'] });
  const none = await next();
  assert.deepEqual([none.entries.length, none.more], [0, false]);
  await on.operator(Entry).batchDeleteEntry({ ids: [ids[3] ?? ''] });
  await stream.send({ ids: [ids[3] ?? ''] });
  assert.equal((await next()).entries.length, 0, 'what was deleted meanwhile is not handed out');
  stream.closeSend();
  assert.equal((await answers.next()).done, true);
});

test('a first request with IDs, or with a mask without revisions, is refused', async (t) => {
  const on = await stage(t);
  const agent = await on.agent();
  const first = async (request: object) => {
    const stream = on.as(agent, Entry).syncAuthorizedEntries();
    await stream.send(request);
    return all(stream.responses);
  };
  await refused(first({ ids: ['x'] }), 'INVALID_ARGUMENT', /^ids: the first request must have none/);
  await refused(
    first({ outputMask: { spiffeId: true } }),
    'INVALID_ARGUMENT',
    /output_mask: it must include revision_number/,
  );
});

test('a node that is banned while its stream lives gets no further entries', async (t) => {
  const on = await stage(t);
  const agent = await on.agent();
  const ids = await filled(on, agent, 501);
  const stream = on.as(agent, Entry).syncAuthorizedEntries();
  const answers = stream.responses[Symbol.asyncIterator]();
  await stream.send({});
  await answers.next();
  await answers.next();
  await on.operator(Agent).banAgent({ id: wireId(agent.id) });
  await stream.send({ ids: ids.slice(0, 1) });
  const error = await refused(answers.next(), 'PERMISSION_DENIED', /is banned/);
  assert.equal(reasonOf(error), 'AGENT_BANNED');
});

test('an entry is not handed out from the second of its end on, and is removed by itself', async (t) => {
  const on = await stage(t);
  const agent = await on.agent();
  const end = BigInt(Math.floor(Date.now() / 1000) + 1);
  const [id = ''] = await on.entries(
    { ...entry('/short', agent.id), expiresAt: end },
    entry('/long', agent.id),
  );
  await new Promise((resolve) => setTimeout(resolve, 1300));
  assert.deepEqual(paths((await on.as(agent, Entry).getAuthorizedEntries({})).entries), ['/long']);
  await refused(on.operator(Entry).getEntry({ id }), 'NOT_FOUND', /there is no entry/);
  assert.ok(
    on.server.lines.some(({ event, entry_ids }) => event === 'entry_pruned' && String(entry_ids) === id),
  );
  const left = await on.operator(Entry).listEntries({});
  assert.deepEqual(
    left.entries.map((one) => textId(one.spiffeId)),
    ['spiffe://example.org/long'],
  );
});

test('nobody but a node may ask', async (t) => {
  const on = await stage(t);
  await refused(on.operator(Entry).getAuthorizedEntries({}), 'PERMISSION_DENIED', /it needs to be an agent/);
  await refused(on.anonymous(Entry).getAuthorizedEntries({}), 'PERMISSION_DENIED', /it needs to be an agent/);
});

test('an entry that changed is sent as it is now, to every node and under every mask', async (t) => {
  const on = await stage(t);
  const [first, second] = [await on.agent({ agentPath: '/group' }), await on.agent({ agentPath: '/group' })];
  const [id = ''] = await on.entries({ ...entry('/w', 'spiffe://example.org/group'), hint: 'before' });
  const sync = async (
    agent: TestAgent,
    outputMask?: { revisionNumber: true; hint?: boolean; dnsNames?: true },
  ) => {
    const stream = on.as(agent, Entry).syncAuthorizedEntries();
    await stream.send(outputMask === undefined ? {} : { outputMask });
    const [page] = await all(stream.responses);
    return page?.entries.find((one) => one.id === id);
  };
  const masks = [undefined, { revisionNumber: true, hint: true }, { revisionNumber: true }] as const;
  for (const hint of ['before', 'after']) {
    if (hint === 'after') {
      await on.operator(Entry).batchUpdateEntry({ entries: [{ id, hint }], inputMask: { hint: true } });
    }
    for (const agent of [first, second, first]) {
      for (const mask of masks) {
        const seen = await sync(agent, mask);
        const wanted = mask === undefined || 'hint' in mask;
        assert.equal(seen?.hint, wanted ? hint : '');
        assert.equal(seen?.spiffeId?.path, mask === undefined ? '/w' : undefined);
        assert.equal(seen?.revisionNumber, hint === 'before' ? 0n : 1n);
      }
    }
  }
});
