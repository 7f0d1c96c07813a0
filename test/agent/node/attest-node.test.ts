import assert from 'node:assert/strict';
import test from 'node:test';
import { type AttestNodeDeps, attestNode } from '../../../src/agent/node/attest-node.js';
import { renewAgent } from '../../../src/agent/node/renew-agent.js';
import type { NodeAttestor } from '../../../src/agent/node-attestors/contract.js';
import type { ServerChannel } from '../../../src/agent/server/channel.js';
import { createTrust } from '../../../src/agent/server/trust.js';
import { TouchmarkError } from '../../../src/errors.js';
import { createLogger } from '../../../src/log.js';
import { parseTrustDomain } from '../../../src/spiffe/id.js';
import { readCsr } from '../../../src/x509/csr.js';
import { generateKey } from '../../../src/x509/keys.js';
import { exportSpki } from '../../../src/x509/spki.js';
import { manualClock, settle } from '../../fakes/manual-clock.js';
import { memoryServer } from '../../fakes/memory-server.js';
import { rejectsCode } from '../../support/rejects-async.js';

const never = new AbortController().signal;
const agentId = 'spiffe://example.org/spire/agent/join_token/one';

function world(options: { insecure?: boolean; attestor?: Partial<NodeAttestor> } = {}) {
  const clock = manualClock();
  const server = memoryServer(clock);
  const lines: string[] = [];
  const codes: string[] = [];
  const write = (line: string) => void lines.push(line);
  const log = createLogger({ format: 'json', write, clock, journal: false });
  const trustDomain = parseTrustDomain('example.org');
  const first = options.insecure === true ? undefined : server.authority.bundle();
  const trust = createTrust({ trustDomain, log, first, save: async () => {} });
  const attestor: NodeAttestor = {
    type: 'test',
    reattestable: true,
    begin: async () => ({
      payload: Buffer.from('payload'),
      answer: async () => ({ response: Buffer.from('response'), approvalCode: 'ABCD-EFGH' }),
    }),
    async [Symbol.asyncDispose]() {},
    ...options.attestor,
  };
  const opened: ServerChannel[] = [];
  let closed = 0;
  const deps: AttestNodeDeps = {
    clock,
    log,
    trustDomain,
    trust,
    attestor,
    approvalCode: (code) => codes.push(code),
    dial(svid) {
      const channel = server.dial(svid);
      const close = channel[Symbol.dispose];
      const counted = Object.assign(channel, {
        [Symbol.dispose]() {
          closed += 1;
          close.call(channel);
        },
      });
      opened.push(counted);
      return counted;
    },
  };
  return { clock, server, deps, lines, codes, counts: () => [opened.length, closed] };
}

test('the SVID that comes back is for the key that was made for it, and the channel is closed', async () => {
  const { deps, server, counts } = world();
  const svid = await attestNode(deps, never);
  assert.equal(svid.id, agentId);
  assert.equal(svid.reattestable, true);
  assert.deepEqual(server.calls, ['bundle', 'attest']);
  assert.deepEqual(counts(), [1, 1]);
  const again = await attestNode(deps, never);
  assert.notDeepEqual(exportSpki(again.key), exportSpki(svid.key), 'each attestation has its own key');
});

test('the newest bundle is learnt before the SVID is judged by it', async () => {
  const { deps, server } = world();
  // Signed by an authority that the kept bundle does not have yet.
  server.authority.rotate();
  assert.equal((await attestNode(deps, never)).id, agentId);
  assert.equal(deps.trust.bundle?.x509Authorities.length, 2);
});

test('an insecure first contact is made once, and said aloud', async () => {
  const { deps, server, lines, counts } = world({ insecure: true });
  await attestNode(deps, never);
  assert.deepEqual(server.calls, ['bundle', 'bundle', 'attest']);
  assert.deepEqual(counts(), [2, 2]);
  await attestNode(deps, never);
  assert.equal(lines.filter((line) => line.includes('INSECURE BOOTSTRAP')).length, 1);
});

test('an SVID that is not ours is refused: another key, no agent, another domain, a stranger’s', async () => {
  const { deps, server } = world();
  const { authority } = server;
  const issue = authority.x509For;
  const stolen = exportSpki(await generateKey('ec-p256'));
  Object.assign(authority, { x509For: (_: Uint8Array, id: string, ttl: number) => issue(stolen, id, ttl) });
  await rejectsCode(
    'server_answer_invalid',
    /carries another key than the one asked for$/,
    attestNode(deps, never),
  );
  for (const [id, message] of [
    ['spiffe://example.org/web', /^the server issued spiffe:\/\/example.org\/web, which is no agent's ID$/],
    ['spiffe://example.org/spire/server', /^the server issued .*\/spire\/server, which is no agent's ID$/],
    ['spiffe://other.org/spire/agent/a', /^the server sent an SVID of another trust domain/],
  ] as const) {
    Object.assign(authority, { x509For: (spki: Uint8Array, _: string, ttl: number) => issue(spki, id, ttl) });
    await rejectsCode('server_answer_invalid', message, attestNode(deps, never));
  }
  const stranger = memoryServer(deps.clock as ReturnType<typeof manualClock>).authority;
  Object.assign(authority, { x509For: stranger.x509For });
  await rejectsCode('chain_untrusted', /no authority of the bundle/, attestNode(deps, never));
});

test('a secret that works once is never called reattestable, whatever the server says', async () => {
  const { deps } = world({ attestor: { reattestable: false } });
  assert.equal((await attestNode(deps, never)).reattestable, false);
});

test('what the attestor cannot do is told as it is, and a foreign error as a failed attestation', async () => {
  const missing = new TouchmarkError('node_secret_missing', 'the join token is not there');
  const unready = world({ attestor: { begin: () => Promise.reject(missing) } });
  await rejectsCode('node_secret_missing', /^the join token is not there$/, attestNode(unready.deps, never));
  assert.deepEqual(unready.counts(), [1, 1]);
  const { deps } = world();
  const dial: AttestNodeDeps['dial'] = (svid) =>
    Object.assign(deps.dial(svid), { attest: () => Promise.reject(new Error('odd')) });
  await rejectsCode(
    'node_attestation_failed',
    /^attestation failed: odd$/,
    attestNode({ ...deps, dial }, never),
  );
});

test('the code of a host that waits is shown after that refusal only, and taken away afterwards', async () => {
  const { deps, codes } = world();
  const refusing = (error: Error | undefined) => ({
    ...deps,
    dial: (svid: undefined) => {
      const channel = deps.dial(svid);
      const attest: ServerChannel['attest'] = async (opening, answer, signal) => {
        await answer(Buffer.from('challenge'), Buffer.from('leaf'));
        if (error !== undefined) throw error;
        return channel.attest(opening, answer, signal);
      };
      return { ...channel, attest };
    },
  });
  const pending = { detail: { serverCode: 'enrolment_pending' } };
  const waits = new TouchmarkError('server_refused', 'the server says: waits for approval', pending);
  await rejectsCode(
    'server_refused',
    /waits for approval$/,
    attestNode(refusing(waits) as AttestNodeDeps, never),
  );
  const banned = new TouchmarkError('node_banned', 'the server says: banned');
  await rejectsCode('node_banned', /banned$/, attestNode(refusing(banned) as AttestNodeDeps, never));
  await attestNode(refusing(undefined) as AttestNodeDeps, never);
  assert.deepEqual(codes, ['ABCD-EFGH', '', '']);
});

test('an attestation that hangs is given up after two minutes, and leaves no timer', async () => {
  const { deps, clock, counts } = world({
    attestor: {
      begin: (signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(new TouchmarkError('server_away', 'took too long')));
        }),
    },
  });
  const hanging = rejectsCode('server_away', /^took too long$/, attestNode(deps, never));
  await settle();
  clock.advance(119_000);
  assert.deepEqual(counts(), [1, 0]);
  clock.advance(1_000);
  await hanging;
  assert.deepEqual([...counts(), clock.timers], [1, 1, 0]);
});

test('RenewAgent brings a new key under the same name, and no other name is taken', async () => {
  const { deps, server, clock } = world();
  const held = await attestNode(deps, never);
  const issued: string[] = [agentId];
  const api = {
    renewAgent: async (csr: Uint8Array) =>
      server.authority.x509For(readCsr(csr).spki, issued.shift() ?? '', 60),
  };
  const renewing = { ...deps, server: () => api };
  const renewed = await renewAgent(renewing, { ...held, reattestable: false }, never);
  assert.deepEqual([renewed.id, renewed.reattestable], [held.id, false]);
  assert.notDeepEqual(exportSpki(renewed.key), exportSpki(held.key));
  issued.push('spiffe://example.org/spire/agent/join_token/two');
  await rejectsCode(
    'server_answer_invalid',
    /^the server renewed .*\/join_token\/one as .*\/join_token\/two$/,
    renewAgent(renewing, held, never),
  );
  const disconnected = () => {
    throw new TouchmarkError('server_away', 'there is no connection to the server');
  };
  await rejectsCode(
    'server_away',
    /^there is no connection/,
    renewAgent({ ...deps, server: disconnected }, held, never),
  );
  assert.equal(clock.timers, 0);
});
