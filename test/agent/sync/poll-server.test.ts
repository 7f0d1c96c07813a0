import assert from 'node:assert/strict';
import test from 'node:test';
import { POLL_MS, pollServer } from '../../../src/agent/sync/poll-server.js';
import { TouchmarkError } from '../../../src/errors.js';
import { createLogger } from '../../../src/log.js';
import { parseTrustDomain } from '../../../src/spiffe/id.js';
import { makeEntry } from '../../fakes/entries.js';
import { fakeIdentityStore } from '../../fakes/identity-store.js';
import { manualClock, settle, until } from '../../fakes/manual-clock.js';
import { memoryServer } from '../../fakes/memory-server.js';
import { rejectsCode } from '../../support/rejects-async.js';

const partner = parseTrustDomain('partner.example');

function begin(t: test.TestContext) {
  const clock = manualClock();
  const store = fakeIdentityStore({ clock });
  const server = Object.assign(memoryServer(clock), { authority: store.authority });
  const lines: Record<string, unknown>[] = [];
  const write = (line: string) => void lines.push(JSON.parse(line));
  const log = createLogger({ format: 'json', write, clock, journal: false }, 'debug');
  const { api } = server.dial(undefined);
  const ended = new AbortController();
  let up = 0;
  const run = () => {
    const deps = { clock, log, store, random: () => 0.5, ownBundle: () => {} };
    const running = pollServer(api, deps, ended.signal, () => {
      up += 1;
    });
    running.catch(() => {});
    return running;
  };
  t.after(async () => {
    ended.abort();
    await settle();
    store[Symbol.dispose]();
    assert.equal(clock.timers, 0, 'no timer is left');
  });
  return { clock, store, server, api, lines, run, ended, up: () => up };
}

test('the agent introduces itself once, after the first round that worked', async (t) => {
  const { clock, server, run, up } = begin(t);
  void run();
  await settle();
  await clock.pass(POLL_MS * 2, POLL_MS);
  assert.deepEqual([up(), server.calls.filter((call) => call === 'postStatus').length], [1, 1]);
  assert.deepEqual(server.calls.slice(0, 3), ['bundle', 'syncEntries', 'postStatus']);
});

test('a server that does not want to know the status is polled all the same', async (t) => {
  const { clock, store, server, api, lines, run } = begin(t);
  api.postStatus = () => Promise.reject(new TouchmarkError('server_unimplemented', 'unknown method'));
  server.entries.set('a', makeEntry('a'));
  void run();
  await until('serving', () => store.status.phase === 'serving');
  await clock.pass(POLL_MS);
  assert.equal(server.calls.filter((call) => call === 'syncEntries').length, 2);
  const told = lines.find(({ message }) => message === 'the server did not take the status of the agent');
  assert.deepEqual([told?.['level'], told?.['error']], ['debug', 'unknown method']);
});

test('a server that answers has ended a ban', async (t) => {
  const { store, server, run } = begin(t);
  server.entries.set('a', makeEntry('a'));
  store.withdraw('banned', [{ code: 'node_banned', message: 'banned' }]);
  void run();
  await until('serving', () => store.status.phase === 'serving');
  assert.deepEqual([store.status.state, store.status.reasons, store.entries().size], ['', [], 1]);
});

test('a foreign bundle under another name is refused, and nothing of that round is taken', async (t) => {
  const { store, server, run } = begin(t);
  server.entries.set('a', makeEntry('a', { federatesWith: [partner] }));
  server.federated.set(partner, store.authority.bundle());
  await rejectsCode(
    'server_answer_invalid',
    /^the server sent the bundle of example.org instead of that of partner.example$/,
    run(),
  );
  assert.deepEqual([store.bundles, store.entries().size, store.status.phase], [undefined, 0, 'starting']);
});

test('a foreign domain that the server does not know is left out, the own one is not asked for', async (t) => {
  const { store, server, run } = begin(t);
  const federatesWith = [partner, parseTrustDomain('example.org')];
  server.entries.set('a', makeEntry('a', { federatesWith }));
  void run();
  await until('serving', () => store.status.phase === 'serving');
  assert.equal(store.bundles?.federated.size, 0);
  assert.equal(server.calls.filter((call) => call === 'federatedBundle').length, 1);
});

test('a round that hangs is given up after thirty seconds', async (t) => {
  const { clock, api, run, up } = begin(t);
  api.syncEntries = (_held, signal) =>
    new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(new TouchmarkError('server_away', 'took too long')));
    });
  const running = rejectsCode('server_away', /^took too long$/, run());
  await settle();
  await clock.pass(30_000);
  await running;
  assert.deepEqual([up(), clock.timers], [0, 0]);
});

test('entries that were held from a session are not taken for polled ones', async (t) => {
  const { store, server, run, api } = begin(t);
  store.put(makeEntry('a'));
  assert.equal(store.held.epoch, 'test');
  const asked: number[] = [];
  const sync = api.syncEntries;
  api.syncEntries = (held, signal) => {
    asked.push(held.size);
    return sync(held, signal);
  };
  server.entries.set('b', makeEntry('b'));
  void run();
  await until('serving', () => store.status.phase === 'serving');
  assert.deepEqual([asked, [...store.entries().keys()], store.held.revision], [[0], ['b'], 1n]);
});
