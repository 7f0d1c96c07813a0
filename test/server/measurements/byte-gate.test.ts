import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { byteGate } from '../../../src/server/measurements/byte-gate.js';
import { createPulls } from '../../../src/server/measurements/pulls.js';
import { manualClock, settle } from '../../fakes/manual-clock.js';
import { rejectsCode } from '../../support/rejects-async.js';

describe('memory that hosts share', () => {
  const gateOf = (most: number, mostWaiting?: number) => {
    const clock = manualClock();
    const gate = byteGate(clock, most, mostWaiting);
    const inside: string[] = [];
    const leave = new Map<string, () => void>();
    const enter = (who: string, bytes: number, withinMs?: number) =>
      gate.enter(who, bytes, withinMs).then((left) => {
        inside.push(who);
        leave.set(who, left);
      });
    return { clock, inside, leave, enter };
  };

  it('is entered in turn, by nobody past one who waits for more', async () => {
    const { inside, leave, enter } = gateOf(10);
    void enter('a', 6);
    void enter('b', 6);
    void enter('c', 1);
    await settle();
    assert.deepEqual(inside, ['a']);
    leave.get('a')?.();
    leave.get('a')?.();
    await settle();
    assert.deepEqual(inside, ['a', 'b', 'c']);
  });

  it('is entered alone by what is larger than all of it', async () => {
    const { inside, leave, enter } = gateOf(10);
    void enter('huge', 50);
    void enter('b', 1);
    await settle();
    assert.deepEqual(inside, ['huge']);
    leave.get('huge')?.();
    await settle();
    assert.deepEqual(inside, ['huge', 'b']);
  });

  it('holds one of each, who holds up nobody else by waiting for himself', async () => {
    const { inside, leave, enter } = gateOf(10);
    void enter('a', 1);
    void enter('a', 1);
    void enter('b', 1);
    await settle();
    assert.deepEqual(inside, ['a', 'b']);
    const busy = /^too many hosts send long logs at this moment$/;
    await rejectsCode('evidence_busy', busy, enter('a', 1));
    leave.get('a')?.();
    await settle();
    assert.deepEqual(inside, ['a', 'b', 'a']);
  });

  it('lets wait so many and so long, and no longer', async () => {
    const { clock, inside, leave, enter } = gateOf(1, 1);
    await enter('a', 1);
    const late = rejectsCode('evidence_busy', /at this moment$/, enter('b', 1, 1000));
    await rejectsCode('evidence_busy', /at this moment$/, enter('c', 1, 1000));
    clock.advance(1000);
    await late;
    void enter('d', 1, 1000);
    leave.get('a')?.();
    await settle();
    assert.deepEqual(inside, ['a', 'd']);
    assert.equal(clock.timers, 0);
  });
});

describe('pulling logs', () => {
  const MIB = 1024 * 1024;
  const part = { log: 'ima-list', offset: 0, maxBytes: MIB } as const;
  const answer = { ...part, state: 'present', data: new Uint8Array(1), remaining: 1, reason: '' } as const;
  const started = (clock = manualClock()) => {
    const pulls = createPulls(clock);
    const pulled: string[] = [];
    const start = (host: string) => {
      const pulling = pulls.start(host, async () => {
        pulled.push(host);
        return answer;
      });
      return { ...pulling, ask: (gathered = 0) => pulling.pull(gathered, part) };
    };
    return { clock, pulled, start };
  };

  it('of hosts that keep long places waiting is nothing to those with short logs', async () => {
    const { pulled, start } = started();
    for (const slow of ['a', 'b', 'c', 'd']) void start(slow).ask(60 * MIB);
    await settle();
    assert.deepEqual(pulled, ['a', 'b']);
    for (let n = 0; n < 12; n += 1) void start(`short ${n}`).ask();
    await settle();
    assert.equal(pulled.length, 14);
  });

  it('waits for a place, and gives it to the next one when what came is judged', async () => {
    const { pulled, start } = started();
    const hosts = Array.from({ length: 17 }, (_, n) => start(`host ${n}`));
    for (const host of hosts) void host.ask();
    await settle();
    assert.equal(pulled.length, 16);
    hosts[3]?.[Symbol.dispose]();
    await settle();
    assert.equal(pulled.at(-1), 'host 16');
  });

  it('ends when the whole of it takes too long, however promptly parts come', async () => {
    const { clock, start } = started();
    const host = start('slow');
    for (let at = 0; at < 2 * 60_000; at += 10_000) {
      await host.ask();
      clock.advance(10_000);
    }
    await host.ask();
    clock.advance(1);
    await rejectsCode('evidence_late', /^the ima-list did not come whole within its time$/, host.ask());
    // A long log has more, from when it is known to be one.
    await host.ask(8 * MIB);
    clock.advance(5 * 60_000 + 1);
    await rejectsCode(
      'evidence_late',
      /^the ima-list did not come whole within its time$/,
      host.ask(9 * MIB),
    );
  });
});
