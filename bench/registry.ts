/** What a change of one entry costs where there are many: `node dist/bench/registry.js [entries] [agents]` */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Write } from '../src/server/datastores/contract.js';
import { openLevelDatastore } from '../src/server/datastores/level.js';
import { openRegistry } from '../src/server/registry/registry.js';
import type { Entry } from '../src/spiffe/entry.js';
import { parseSpiffeId, parseTrustDomain, type SpiffeId } from '../src/spiffe/id.js';

const entryCount = Number(process.argv[2] ?? 90_000);
const agentCount = Number(process.argv[3] ?? 2_000);
const id = (path: string): SpiffeId => parseSpiffeId(`spiffe://example.org${path}`);
const agent = (n: number) => id(`/spire/agent/tpm/${n}`);

function entry(n: number, parentId: SpiffeId, selectors = [{ type: 'unix', value: `uid:${n}` }]): Entry {
  return {
    ...{
      id: `entry-${n}`,
      spiffeId: id(`/workload/${n}`),
      parentId,
      selectors,
      x509SvidTtl: 0,
      jwtSvidTtl: 0,
    },
    ...{ federatesWith: [], admin: false, downstream: false, expiresAt: 0, dnsNames: [], revisionNumber: 0 },
    ...{ storeSvid: false, hint: '', createdAt: 0, disableX509SvidPrefetch: false, jwtSvidIncludeJti: false },
  };
}

function node(n: number): Write {
  const key = agent(n);
  const selectors = [
    { type: 'host', value: `label:rack:${n % 50}` },
    { type: 'tpm', value: 'model:x' },
  ];
  const rest = {
    serial: '01',
    nextSerial: '',
    svidExpiresAt: 0,
    canReattest: true,
    banned: false,
    agentVersion: '',
  };
  const value = { id: key, attestationType: 'tpm', selectors, ...rest, attestationNumber: 1 };
  return { kind: 'node', key, value };
}

function report(what: string, times: number, startNs: bigint): void {
  const us = Number(process.hrtime.bigint() - startNs) / 1000 / times;
  process.stdout.write(`${what.padEnd(60)} ${us.toFixed(1).padStart(12)} us\n`);
}

// Half of the entries lie below an agent, half below one of 50 rack aliases.
const directory = await mkdtemp(join(tmpdir(), 'touchmark-bench-'));
const first = await openLevelDatastore(directory);
const writes: Write[] = Array.from({ length: agentCount }, (_, n) => node(n));
for (let rack = 0; rack < 50; rack += 1) {
  const value = {
    ...entry(-1 - rack, id('/spire/server'), [{ type: 'host', value: `label:rack:${rack}` }]),
    spiffeId: id(`/rack/${rack}`),
  };
  writes.push({ kind: 'entry', key: value.id, value });
}
for (let n = 0; n < entryCount; n += 1) {
  const value = entry(n, n % 2 === 0 ? agent((n / 2) % agentCount) : id(`/rack/${n % 50}`));
  writes.push({ kind: 'entry', key: value.id, value });
}
for (let at = 0; at < writes.length; at += 5_000) await first.commit(writes.slice(at, at + 5_000));
await first[Symbol.asyncDispose]();
writes.length = 0;
globalThis.gc?.();
const heap = process.memoryUsage().heapUsed;
let start = process.hrtime.bigint();
const store = await openLevelDatastore(directory);
report('open and check the store', 1, start);
start = process.hrtime.bigint();
const registry = await openRegistry(store, parseTrustDomain('example.org'));
report(`open with ${registry.entryCount} entries, ${registry.nodeCount} nodes`, 1, start);
globalThis.gc?.();
process.stdout.write(
  `heap ${((process.memoryUsage().heapUsed - heap) / 1e6).toFixed(0)} MB (run with --expose-gc)\n`,
);

const candidates = new Set(Array.from({ length: agentCount }, (_, n) => agent(n)));
const direct = registry.entry('entry-0') as Entry;
const racked = registry.entry('entry-1') as Entry;
let size = 0;
for (const [what, one, times] of [
  ['one agent', direct, 20_000],
  ['a rack', racked, 2_000],
] as const) {
  start = process.hrtime.bigint();
  for (let i = 0; i < times; i += 1) size = registry.nodesTouchedBy([one], candidates).size;
  report(`nodesTouchedBy, entry of ${what} (${size} nodes)`, times, start);
  start = process.hrtime.bigint();
  for (let i = 0; i < times; i += 1) registry.isAuthorized(agent(1), one);
  report(`isAuthorized, entry of ${what}`, times, start);
}
start = process.hrtime.bigint();
for (let i = 0; i < 500; i += 1) size = registry.authorizedEntries(agent(i % agentCount)).size;
report(`authorizedEntries (${size} entries)`, 500, start);
start = process.hrtime.bigint();
for (let i = 0; i < 5_000; i += 1)
  await store.commit([{ kind: 'entry', key: 'entry-0', value: { ...direct, revisionNumber: i } }]);
report('commit of one entry, synced, registry included', 1_000, start);
await store[Symbol.asyncDispose]();
await rm(directory, { recursive: true });
