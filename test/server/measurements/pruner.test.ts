import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { bootsBeyondShare } from '../../../src/server/measurements/pruner.js';
import { LogState } from '../../../src/wire/gen/touchmark/measure/v1/logs_pb.js';
import { inForce } from '../../fakes/fake-policies.js';
import { settle } from '../../fakes/manual-clock.js';
import { live } from './live.js';
import type { MeasuringWorld } from './world.js';

const DAY = 86_400_000;
const MIB = 1024 * 1024;

const ids = async (world: MeasuringWorld) =>
  (await world.store.list('evidence')).map(({ value }) => value.id);
const boots = async (world: MeasuringWorld) =>
  new Set((await world.store.list('evidence_log')).map(({ key }) => key.split('/')[1])).size;

/** Boots of one host, each shown once. */
async function rebooted(times: number) {
  const parts = await live();
  const { world, host } = parts;
  for (let n = 0; n < times; n += 1) {
    host.reboot();
    await world.clock.pass(30_000, 1000);
  }
  assert.equal(await boots(world), times + 1);
  return parts;
}

describe('old evidence', () => {
  it('is forgotten after its time with the logs that nothing else shows, never the newest', async () => {
    const { world, host, session } = await rebooted(2);
    await session.close();
    await world.clock.pass(DAY - 3_600_000, 600_000);
    await world.measurements.prune();
    assert.equal((await ids(world)).length, 3);
    await world.clock.pass(2 * DAY, 3_600_000);
    const { id, appraisal } = world.host(host);
    const left = await world.measurements.archive.history(id, 10);
    assert.ok(left.some((record) => record.id === appraisal?.evidenceId));
    assert.ok(left.length <= 2 && (await boots(world)) <= 2);
    const latest = await world.measurements.archive.latest(id);
    const list = latest?.evidence.logs['ima-list'];
    assert.ok(list?.kind === 'bytes' && host.imaList.equals(list.bytes));
    await world[Symbol.asyncDispose]();
  });

  it('of a host that is removed goes with it', async () => {
    const { world, host } = await rebooted(1);
    await world.store.commit([{ kind: 'host', key: world.host(host).id, deleted: true }]);
    await settle();
    assert.deepEqual(await ids(world), []);
    assert.deepEqual(await world.store.list('evidence_log'), []);
    await world[Symbol.asyncDispose]();
  });

  it('beyond a host’s share goes from the oldest boot on', () => {
    const record = (boot: string, mib: number) => ({ id: boot, at: 0, boot, bytes: mib * MIB });
    const records = [record('a', 1), record('b', 400), record('c', 100), record('c', 200), record('d', 250)];
    assert.deepEqual([...bootsBeyondShare(records)], ['b', 'a']);
    assert.deepEqual([...bootsBeyondShare(records.slice(2))], []);
  });
});

describe('a host that wants the disk', () => {
  it('keeps one copy of a list that it sends from the beginning again and again', async () => {
    const { world, host, session } = await live();
    session.auto = false;
    for (const state of [LogState.SHORTER, LogState.PRESENT]) {
      for (let n = 0; n < 5; n += 1) {
        await world.clock.pass(1000, 500);
        await session.grow();
        await session.answer(undefined, {
          change: (evidence) => ({
            ...evidence,
            logs: evidence.logs.map((part) =>
              // Its boot log whole, though it is known, and its list as if it were another.
              part.log === 1
                ? { ...part, state: LogState.PRESENT, data: host.bootLog }
                : part.log === 3 && state === LogState.SHORTER
                  ? { ...part, state }
                  : part,
            ),
          }),
        });
        const request = session.received.at(-1)?.message;
        if (request?.case === 'logRequest')
          await session.say({ case: 'logPart', value: host.part(request.value) });
        assert.equal(session.over, false);
      }
    }
    assert.equal(await boots(world), 1);
    assert.equal((await ids(world)).length, 1);
    assert.equal(world.host(host).state, 'trusted');
    await world[Symbol.asyncDispose]();
  });

  it('that sends its list from the beginning, unasked, is refused', async () => {
    const { world, host, session } = await live();
    session.auto = false;
    await session.grow();
    await session.answer(undefined, {
      change: (evidence) => ({
        ...evidence,
        logs: evidence.logs.map((part) =>
          part.log === 3 ? { ...part, state: LogState.PRESENT, offset: 0n, data: host.imaList } : part,
        ),
      }),
    });
    assert.match(
      String(await session.ended),
      /the ima-list is present from byte 0 on, where \d+ was asked for/,
    );
    await world[Symbol.asyncDispose]();
  });

  it('writes no record for each program that nobody knows', async () => {
    const forbidden = Array.from({ length: 30 }, (_, n) => `/tmp/${n}`);
    const { world, host, session } = await live({}, inForce({ forbidden }));
    for (const path of forbidden) {
      host.run(path);
      await world.clock.pass(1000, 500);
      await session.grow();
    }
    assert.equal(world.host(host).state, 'drifted');
    assert.equal(session.over, false);
    assert.equal((await ids(world)).length, 2, 'before it drifted, and all that it shows now');
    assert.equal(world.host(host).appraisal?.components[0]?.reasons.length, 30);
    await world[Symbol.asyncDispose]();
  });

  it('is held against its share while it sends, not when the hour is over', async () => {
    const { world, host } = await live();
    const { id } = world.host(host);
    const [own] = await world.store.list('evidence');
    assert.ok(own !== undefined);
    for (let n = 0; n < 560; n += 1) {
      const old = { ...own.value, id: `000000000000-${n.toString(16).padStart(3, '0')}`, boot: `old-${n}` };
      await world.store.commit([
        { kind: 'evidence', key: `${id}/${old.id}`, value: old },
        { kind: 'evidence_log', key: `${id}/${old.boot}/ima-list/000000000000`, value: { data: 'AA==' } },
      ]);
    }
    await settle();
    const left = await ids(world);
    assert.ok(left.length < 550, `${left.length} are left`);
    assert.equal(left.at(-1), own.value.id);
    assert.equal(await boots(world), left.length);
    await world.measurements.prune();
    assert.equal((await ids(world)).length, 500);
    await world[Symbol.asyncDispose]();
  });
});
