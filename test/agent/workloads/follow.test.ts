import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Workload, WorkloadAttestor } from '../../../src/agent/workload-attestors/contract.js';
import { createWorkloadAttestation } from '../../../src/agent/workloads/attest-workload.js';
import { createTurns } from '../../../src/agent/workloads/changes.js';
import { follow, type View } from '../../../src/agent/workloads/follow.js';
import { TouchmarkError } from '../../../src/errors.js';
import { openProcess } from '../../../src/host/process-handle.js';
import { parseSelector } from '../../../src/spiffe/selector.js';
import { settle } from '../../fakes/manual-clock.js';
import { rejectsCode } from '../../support/rejects-async.js';

const never = new AbortController().signal;
const uid = process.getuid?.() ?? 0;
const gid = process.getgid?.() ?? 0;

function self(): Workload {
  return { pid: process.pid, uid, gid, groups: [], process: openProcess(process.pid) };
}

/** A store, a unit and a process that the test moves. */
function world() {
  const listeners = new Set<() => void>();
  const watchers = new Set<() => void>();
  const exits = new Set<() => void>();
  const state = { value: 1, invocation: 'aaaa', asked: 0, peeked: 0, withdrawn: false };
  let hashing = Promise.resolve();
  const attestor: WorkloadAttestor = {
    name: 'fake',
    async attest() {
      state.asked += 1;
      await hashing;
      return state.invocation === '' ? [] : [parseSelector(`systemd:invocation_id:${state.invocation}`)];
    },
    watch(_found, listener) {
      watchers.add(listener);
      return () => watchers.delete(listener);
    },
  };
  const own = self();
  const workload: Workload = {
    ...own,
    process: {
      ...own.process,
      onExit(listener) {
        exits.add(listener);
        return () => exits.delete(listener);
      },
    },
  };
  const view: View<number> = {
    ready() {
      if (state.withdrawn) throw new TouchmarkError('identities_withdrawn', 'no identity issued');
    },
    peek: () => {
      state.peeked += 1;
      return state.value;
    },
    build: async () => {
      if (state.value < 0) throw new TouchmarkError('no_identity', 'no identity issued');
      return state.value;
    },
    visible: (value) => [Buffer.from([value])],
  };
  const store = {
    onChange(listener: () => void) {
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
      };
    },
  };
  const tell = (set: Set<() => void>) => {
    for (const listener of [...set]) listener();
  };
  const attestation = createWorkloadAttestation([attestor]);
  return {
    state,
    updates: (signal = never) => follow({ store, attestation }, workload, signal, view),
    changed: () => tell(listeners),
    /** From now on attesting takes until the end of the test. */
    hang() {
      hashing = new Promise(() => {});
    },
    unitMoved: () => tell(watchers),
    exit: () => tell(exits),
    subscriptions: () => listeners.size + watchers.size + exits.size,
    [Symbol.dispose]: () => own.process.close(),
  };
}

describe('following what a stream shows', () => {
  test('the first update comes at once, the next with what can be seen of a change', async () => {
    using w = world();
    const updates = w.updates();
    assert.equal((await updates.next()).value, 1);
    const next = updates.next();
    w.changed();
    await settle();
    assert.deepEqual(
      [w.state.asked, w.state.peeked],
      [1, 1],
      'nobody is attested for a change that nobody sees',
    );
    w.state.value = 2;
    w.changed();
    assert.equal((await next).value, 2);
    assert.equal(w.state.asked, 2);
    await updates.return(undefined);
    assert.equal(w.subscriptions(), 0);
  });

  test('however many changes come while the reader is away, it gets one update: the last', async () => {
    using w = world();
    const updates = w.updates();
    await updates.next();
    for (w.state.value = 2; w.state.value < 9; w.state.value += 1) w.changed();
    assert.equal((await updates.next()).value, 9);
    const next = updates.next();
    await settle();
    w.state.value = 10;
    w.changed();
    assert.equal((await next).value, 10);
    await updates.return(undefined);
  });

  test('the end of the process ends it', async () => {
    using w = world();
    const updates = w.updates();
    await updates.next();
    const next = updates.next();
    w.exit();
    await rejectsCode('peer_gone', /has ended/, next);
    assert.equal(w.subscriptions(), 0);
  });

  test('another invocation of the unit ends it, as does its stop', async () => {
    for (const invocation of ['bbbb', '']) {
      using w = world();
      const updates = w.updates();
      await updates.next();
      const next = updates.next();
      w.state.invocation = invocation;
      w.unitMoved();
      await rejectsCode('unit_changed', /no identity issued/, next);
      assert.equal(w.subscriptions(), 0);
    }
  });

  test('a unit whose record is written again unchanged says nothing', async () => {
    using w = world();
    const updates = w.updates();
    await updates.next();
    const next = updates.next();
    w.unitMoved();
    await settle();
    assert.equal(w.state.asked, 2);
    w.state.value = 5;
    w.changed();
    assert.equal((await next).value, 5);
    await updates.return(undefined);
  });

  test('a process that is in a unit only later keeps its stream', async () => {
    using w = world();
    w.state.invocation = '';
    const updates = w.updates();
    await updates.next();
    w.state.invocation = 'cccc';
    w.state.value = 3;
    w.changed();
    assert.equal((await updates.next()).value, 3);
    await updates.return(undefined);
  });

  test('what the view refuses ends it, and leaves no subscription', async () => {
    using w = world();
    const updates = w.updates();
    await updates.next();
    const next = updates.next();
    w.state.value = -1;
    w.changed();
    await rejectsCode('no_identity', /no identity issued/, next);
    assert.equal(w.subscriptions(), 0);
  });

  test('a withdrawal ends it without looking at the process, and while somebody looks at it', async () => {
    for (const looking of [false, true]) {
      using w = world();
      const updates = w.updates();
      await updates.next();
      const next = updates.next();
      if (looking) {
        w.hang();
        w.unitMoved();
        await settle();
      }
      const { asked } = w.state;
      w.state.withdrawn = true;
      w.changed();
      await rejectsCode('identities_withdrawn', /^no identity issued$/, next);
      assert.equal(w.state.asked, asked);
      assert.equal(w.subscriptions(), 0);
    }
  });

  test('after a withdrawal nobody is looked at for a new stream', async () => {
    using w = world();
    w.state.withdrawn = true;
    await rejectsCode('identities_withdrawn', /^no identity issued$/, w.updates().next());
    assert.equal(w.state.asked, 0);
  });

  test('the end of the call ends it with the reason, never silently', async () => {
    using w = world();
    const ended = new AbortController();
    const updates = w.updates(ended.signal);
    await updates.next();
    const next = updates.next();
    ended.abort(new TouchmarkError('server_stopping', 'the server is stopping'));
    await rejectsCode('server_stopping', /stopping/, next);
    assert.equal(w.subscriptions(), 0);
  });
});

test('turns: one at once, then one for any number of stirs', async () => {
  const turns = createTurns(never);
  const iterator = turns[Symbol.asyncIterator]();
  await iterator.next();
  for (let at = 0; at < 5; at++) turns.stir();
  await iterator.next();
  const idle = iterator.next();
  const quiet = await Promise.race([idle.then(() => 'turn'), settle().then(() => 'quiet')]);
  assert.equal(quiet, 'quiet');
  turns.fail(new TouchmarkError('peer_gone', 'process 1 has ended'));
  await rejectsCode('peer_gone', /ended/, idle);
});
