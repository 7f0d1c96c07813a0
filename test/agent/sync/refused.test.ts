import assert from 'node:assert/strict';
import test from 'node:test';
import { POLL_MS } from '../../../src/agent/sync/poll-server.js';
import { TouchmarkError } from '../../../src/errors.js';
import { parseTrustDomain } from '../../../src/spiffe/id.js';
import { makeEntry } from '../../fakes/entries.js';
import { settle, until } from '../../fakes/manual-clock.js';
import { delta, wholeSet } from '../../fakes/memory-server.js';
import { count, run, serve } from './world.js';

test('an SVID that the server no longer takes is replaced by a new attestation', async (t) => {
  const world = run(t);
  await serve(world, 'a');
  const { server, store, keeper } = world;
  const first = keeper.svid.value;
  server.live().end(new TouchmarkError('node_refused', 'the server says: not attested'));
  await until('attested again', () => keeper.svid.value !== undefined && keeper.svid.value !== first);
  await until('a new session', () => server.sessions.length === 2);
  assert.ok(store.x509('a') !== undefined, 'identities stay while the node proves itself again');
});

test('two agents of one chip, each of which ends the other, do not race', async (t) => {
  const world = run(t);
  const { clock, server } = world;
  for (let second = 0; second < 60; second += 1) {
    await settle();
    for (const session of server.sessions) {
      session.push({ kind: 'heartbeat', serverTime: 0 });
      session.end(new TouchmarkError('node_refused', 'the server says: not active'));
    }
    await clock.pass(1_000, 500);
  }
  const tries = count(server, 'attest');
  assert.ok(tries >= 4 && tries <= 10, `${tries} attestations in a minute`);
});

test('a ban takes everything away, and the agent stays and asks again slowly', async (t) => {
  const world = run(t);
  await serve(world, 'a');
  const { clock, server, store } = world;
  const banned = new TouchmarkError('node_banned', 'the server says: agent is banned');
  server.refuseAttestation = banned;
  server.live().end(banned);
  await until('withdrawn', () => store.status.phase === 'withdrawn');
  assert.deepEqual(store.status.reasons, [{ code: 'node_banned', message: banned.message }]);
  assert.deepEqual([store.status.state, store.x509('a'), store.entries().size], ['banned', undefined, 0]);
  await clock.pass(600_000, 5_000);
  const tries = count(server, 'attest');
  assert.ok(tries >= 3 && tries <= 7, `${tries} attempts in ten minutes`);
  server.refuseAttestation = undefined;
  await clock.pass(300_000, 20_000);
  await until('a new session', () => server.sessions.length === 2);
  server.live().push({ kind: 'verdict', state: 'trusted', reasons: [], reattestAt: 0, graceEndsAt: 0 });
  server.live().push(wholeSet(server.entries.values(), 2n));
  await until('serving again', () => store.status.phase === 'serving' && store.x509('a') !== undefined);
});

test('an agent whose SVID ran out while cut off stays, and attests when the server is back', async (t) => {
  const world = run(t);
  await serve(world, 'a');
  const { clock, server, store, keeper } = world;
  server.away = true;
  server.breakSessions();
  await clock.pass(3_601_000, 20_000);
  assert.equal(keeper.svid.value, undefined);
  assert.equal(store.x509('a'), undefined);
  server.away = false;
  await clock.pass(31_000, 1_000);
  await until('a new session', () => server.sessions.at(-1)?.open === true);
  server.live().push(delta(1n, []));
  await until('connected', () => store.status.connected);
  await clock.pass(1);
  await until('signed again', () => store.x509('a') !== undefined);
});

test('the server sets an earlier time for the next attestation', async (t) => {
  const world = run(t);
  await serve(world);
  const { clock, server } = world;
  const reattestAt = clock.now() / 1000 + 60;
  server.live().push({ kind: 'verdict', state: 'trusted', reasons: [], reattestAt, graceEndsAt: 0 });
  await settle();
  await clock.pass(59_000, 20_000);
  assert.equal(count(server, 'attest'), 1);
  clock.advance(2_000);
  await until('attested again', () => count(server, 'attest') === 2);
});

test('a server without sessions is polled every five seconds, with the foreign bundles that entries need', async (t) => {
  const world = run(t, (server) => {
    server.refuseSession = new TouchmarkError('server_unimplemented', 'unknown service');
    const federatesWith = [parseTrustDomain('partner.example')];
    server.entries.set('a', makeEntry('a', { federatesWith }));
    server.federated.set('partner.example', {
      ...server.authority.bundle(),
      trustDomain: parseTrustDomain('partner.example'),
    });
  });
  const { clock, server, store } = world;
  await until('serving', () => store.status.phase === 'serving' && store.x509('a') !== undefined);
  assert.deepEqual([...(store.bundles?.federated.keys() ?? [])], ['partner.example']);
  const version = store.version;
  await clock.pass(POLL_MS * 3, POLL_MS);
  assert.equal(count(server, 'syncEntries'), 4);
  assert.equal(store.version, version, 'nothing changed, so nothing is told');
  server.entries.delete('a');
  await clock.pass(POLL_MS);
  await until('removed', () => store.entries().size === 0);
  server.away = true;
  await clock.pass(POLL_MS);
  await until('cut off', () => !store.status.connected);
  server.away = false;
  await clock.pass(2_000, 500);
  await until('connected', () => store.status.connected);
});

test('when the signal ends both loops end, whatever they wait for', async (t) => {
  const world = run(t, (server) => {
    server.away = true;
  });
  await settle();
  await world.stop();
  assert.equal(world.clock.timers, 0);
});
