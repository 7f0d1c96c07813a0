import assert from 'node:assert/strict';
import { fromBinary } from '@bufbuild/protobuf';
import { TickSchema } from '../../../src/wire/gen/touchmark/measure/v1/logs_pb.js';
import { inForce } from '../../fakes/fake-policies.js';
import { measuredHost } from '../../fakes/measured-host.js';
import { type HostSession, measuringWorld } from './world.js';

export const policy = inForce({ forbidden: ['/tmp/miner'] });

/** A host that attested and holds a session. */
export async function live(options: Parameters<typeof measuringWorld>[0] = {}, before = policy) {
  const world = await measuringWorld(options);
  world.policies.set(before);
  const host = measuredHost();
  host.run('/usr/bin/one');
  await world.attestHost(host);
  const session = await world.open(host);
  return { world, host, session };
}

/** The first tick of a session, asked for by growth, which nobody answers by itself. */
export async function unanswered(session: HostSession): Promise<Uint8Array> {
  session.auto = false;
  await session.grow();
  const [tick] = session.ticks;
  assert.ok(tick !== undefined);
  return tick;
}

export const seqs = (ticks: readonly Uint8Array[]) =>
  ticks.map((tick) => Number(fromBinary(TickSchema, tick).seq));
