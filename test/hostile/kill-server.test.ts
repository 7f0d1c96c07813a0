import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { unixChannel } from '../../src/rpc/channel.js';
import { createRpcClient } from '../../src/rpc/client.js';
import { Health } from '../../src/wire/gen/grpc/health_pb.js';
import { Entry } from '../../src/wire/gen/spire/server/entry_pb.js';
import { repoRoot } from '../support/root.js';

const ROUNDS = Number(process.env['TOUCHMARK_SERVER_KILL_ROUNDS'] ?? 200);
const BATCH = 3;
const id = (path: string) => ({ trustDomain: 'kill.test', path });

interface Scene {
  readonly socket: string;
  readonly config: string;
  /** Ids by batch, of the batches that were acknowledged: whole, or not at all. */
  readonly acknowledged: Map<string, readonly string[]>;
  /** Batches that were sent and not answered: each may be there whole, or not at all. */
  readonly unanswered: Set<string>;
}

async function scene(directory: string): Promise<Scene> {
  const config = join(directory, 'server.toml');
  const socket = join(directory, 's.sock');
  const toml = `trust_domain = "kill.test"\ndata_dir = ${JSON.stringify(join(directory, 'data'))}
socket_path = ${JSON.stringify(socket)}\nbind_address = "127.0.0.1"\nbind_port = 0\naudit_log = false
[log]\nlevel = "error"\n[attestation.tpm]\nenabled = false\n`;
  await writeFile(config, toml);
  return { socket, config, acknowledged: new Map(), unanswered: new Set() };
}

async function startServer({ config, socket }: Scene): Promise<ChildProcess> {
  const program = join(repoRoot(), 'bin', 'touchmark-server');
  const child = spawn(process.execPath, [program, 'run', '-config', config], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const channel = unixChannel(socket, { maxBackoffMs: 200 });
  try {
    const health = createRpcClient(Health, channel);
    for (const end = Date.now() + 20_000; Date.now() < end; await sleep(10)) {
      assert.equal(child.exitCode, null, `the server did not start: ${said}`);
      if (await health.check({}).catch(() => undefined)) return child;
    }
  } finally {
    channel.close();
  }
  throw new Error(`the server did not answer: ${said}`);
}

/** Writes in several lanes at once until the server is gone, which is a moment after its first answer. */
async function writeUntilKilled(
  world: Scene,
  round: number,
  server: ChildProcess,
  afterMs: number,
): Promise<void> {
  const channel = unixChannel(world.socket);
  const client = createRpcClient(Entry, channel);
  const gone = once(server, 'exit');
  let doomed = false;
  const lane = async (number: number) => {
    for (let at = 0; server.signalCode === null; at++) {
      const batch = `${round}-${number}-${at}`;
      const entries = Array.from({ length: BATCH }, (_, part) => ({
        spiffeId: id(`/w/${batch}/${part}`),
        parentId: id('/node'),
        selectors: [{ type: 'unix', value: 'uid:1' }],
      }));
      world.unanswered.add(batch);
      const answer = await client.batchCreateEntry({ entries }).catch(() => undefined);
      if (!answer) return;
      world.unanswered.delete(batch);
      if (!doomed) setTimeout(() => server.kill('SIGKILL'), afterMs);
      doomed = true;
      assert.deepEqual(
        answer.results.map(({ status }) => status?.code),
        [0, 0, 0],
      );
      world.acknowledged.set(
        batch,
        answer.results.map(({ entry }) => entry?.id ?? ''),
      );
    }
  };
  await Promise.all([lane(0), lane(1), lane(2)]);
  await gone;
  channel.close();
}

async function check(world: Scene): Promise<void> {
  const channel = unixChannel(world.socket);
  const client = createRpcClient(Entry, channel);
  const found = new Map<string, number>();
  const ids = new Set<string>();
  let pageToken = '';
  do {
    const page = await client.listEntries({ pageSize: 1000, pageToken });
    for (const entry of page.entries) {
      const batch = entry.spiffeId?.path.split('/')[2] ?? '';
      found.set(batch, (found.get(batch) ?? 0) + 1);
      ids.add(entry.id);
    }
    pageToken = page.nextPageToken;
  } while (pageToken !== '');
  channel.close();
  for (const [batch, wanted] of world.acknowledged) {
    assert.ok(
      wanted.every((one) => ids.has(one)),
      `batch ${batch} was acknowledged and is lost`,
    );
  }
  for (const [batch, count] of found) {
    assert.ok(world.acknowledged.has(batch) || world.unanswered.has(batch), `batch ${batch} was never sent`);
    assert.equal(count, BATCH, `batch ${batch} is torn`);
  }
}

test(`a server killed ${ROUNDS} times while writing loses nothing that it acknowledged`, async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'tm-kill-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const world = await scene(directory);
  for (let round = 0; round < ROUNDS; round++) {
    const server = await startServer(world);
    // Reading everything back grows with what was written, so the whole is looked at now and then and at the end.
    if (round % 20 === 0) await check(world);
    await writeUntilKilled(world, round, server, 5 + (round % 40));
  }
  const last = await startServer(world);
  await check(world);
  last.kill('SIGKILL');
  await once(last, 'exit');
  assert.ok(world.acknowledged.size > ROUNDS, `only ${world.acknowledged.size} batches were acknowledged`);
  t.diagnostic(`${world.acknowledged.size} batches acknowledged, ${world.unanswered.size} unanswered`);
});
