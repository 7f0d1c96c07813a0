/**
 * What continuous evidence costs the server, decoded, verified, judged and stored, against the verification of one ECDSA
 * signature: `NODE_OPTIONS=--max-semi-space-size=64 node dist/bench/evidence.js [hosts]`, as the server's unit has it. Agents'
 * answers are made before the clock runs; records lie on disk.
 */
import { createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { openLevelDatastore } from '../src/server/datastores/level.js';
import { appraiser } from '../src/server/measurements/appraiser.js';
import { AgentMessageSchema } from '../src/wire/gen/touchmark/session/v1/session_pb.js';
import { genuine } from '../test/fakes/chip-world.js';
import { inForce } from '../test/fakes/fake-policies.js';
import { manualClock, settle } from '../test/fakes/manual-clock.js';
import type { MeasuredHost, TickChange } from '../test/fakes/measured-host.js';
import type { MemoryDatastore } from '../test/fakes/memory-datastore.js';
import { realHost, realPcrs, realPolicy } from '../test/fakes/real-host.js';
import {
  growth,
  type HostSession,
  type MeasuringWorld,
  measuringWorld,
} from '../test/server/measurements/world.js';

const HOSTS = Number(process.argv[2] ?? 100);
/** What a server does all day is compiled by then. */
const WARM = 60;
const ROUNDS = 20;
/** Messages a second on one core that the project promises. */
const PROMISED = 2500;

interface Node {
  readonly id: string;
  readonly host: MeasuredHost;
  readonly session: HostSession;
}

async function fleet(world: MeasuringWorld): Promise<Node[]> {
  const nodes: Node[] = [];
  for (let n = 0; n < HOSTS; n += 1) {
    const host = realHost(genuine());
    await world.attestHost(host);
    nodes.push({ id: world.host(host).id, host, session: await world.open(host, { auto: false }) });
  }
  return nodes;
}

/** One tick of every host; microseconds of this process for each answer, and its bytes. */
async function round(world: MeasuringWorld, nodes: readonly Node[], files: number, hints: boolean) {
  for (const { host } of nodes) for (let n = 0; n < files; n += 1) host.run('/usr/bin/true');
  // Growth is asked about at once: a tick of the interval would be too old by the time that all are answered.
  await world.clock.pass(2_000, 500);
  for (const { session } of nodes) session.send(growth);
  await settle();
  const answers: Uint8Array[] = [];
  for (const { host, session } of nodes) {
    const change: TickChange = { without: hints ? [] : 'all' };
    const value = await host.answerTick(session.ticks.at(-1) ?? new Uint8Array(), change);
    answers.push(
      toBinary(AgentMessageSchema, create(AgentMessageSchema, { message: { case: 'evidence', value } })),
    );
  }
  world.clock.advance(1);
  const now = world.clock.now();
  const before = process.cpuUsage();
  for (const [at, bytes] of answers.entries())
    nodes[at]?.session.send(fromBinary(AgentMessageSchema, bytes).message);
  const waits = () => nodes.some(({ id }) => world.measurements.lastEvidenceAt(id) < now);
  for (let turn = 0; waits(); turn += 1) {
    if (turn > 10_000) throw new Error('an answer is not judged');
    // Asleep, which costs nothing, rather than asking all the while.
    await setTimeout(2);
  }
  const { user, system } = process.cpuUsage(before);
  return { us: (user + system) / nodes.length, bytes: answers[0]?.length ?? 0 };
}

/** Microseconds for one signature over what a quote is long. */
function bareVerification(): number {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const key = createPublicKey(publicKey.export({ type: 'spki', format: 'pem' }));
  const data = Buffer.alloc(145, 7);
  const signature = sign('sha256', data, privateKey);
  const before = process.cpuUsage();
  for (let n = 0; n < 2000; n += 1) verify('sha256', data, key, signature);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 2000;
}

async function main(): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'tm-evidence-'));
  // A world that takes a memory store takes any: it asks for nothing more of it.
  const store = (await openLevelDatastore(directory)) as unknown as MemoryDatastore;
  const before = { store, clock: manualClock() };
  const world = await measuringWorld({ judge: appraiser, config: { pcrs: realPcrs }, before });
  world.policies.set({ group: inForce().group, policy: realPolicy() });
  const nodes = await fleet(world);
  const kinds = [
    { name: 'nothing new', files: 0, hints: false },
    { name: 'three files more', files: 3, hints: true },
  ];
  for (let warm = 0; warm < WARM; warm += 1)
    for (const { files, hints } of kinds) await round(world, nodes, files, hints);
  for (const { name, files, hints } of kinds) {
    const seen: number[] = [];
    let bytes = 0;
    for (let n = 0; n < ROUNDS; n += 1) {
      const one = await round(world, nodes, files, hints);
      seen.push(one.us);
      bytes = one.bytes;
    }
    const us = seen.sort((a, b) => a - b)[seen.length >> 1] ?? 0;
    const bare = bareVerification();
    process.stdout.write(
      `${name}: ${us.toFixed(0)} us, ${Math.round(1e6 / us)} a second of ${PROMISED} promised, ${bytes} bytes; ` +
        `one ECDSA verification ${bare.toFixed(0)} us; ratio ${(us / bare).toFixed(2)}\n`,
    );
  }
  await world[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
}

await main();
