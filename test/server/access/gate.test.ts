import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Metadata } from '@grpc/grpc-js';
import { TouchmarkError } from '../../../src/errors.js';
import type { Call } from '../../../src/rpc/call.js';
import { unixRole } from '../../../src/server/access/caller.js';
import type { Connected } from '../../../src/server/access/gate.js';
import { whileBelieved } from '../../../src/server/api/guard.js';
import { stage } from '../api/support.js';

function callBy(caller: Connected, service: string, name: string): Call<Connected> {
  return {
    caller,
    method: { path: `/${service}/${name}`, service, name, kind: 'unary' },
    metadata: new Metadata(),
    signal: new AbortController().signal,
    deadline: undefined,
    requestId: 'r',
    audit: {},
  };
}

const unix = (uid: number, administrators: Parameters<typeof unixRole>[2] = []): Connected => ({
  ...{ via: 'unix', uid, gid: uid, pid: 1 },
  role: unixRole(uid, 1, administrators),
});

const AGENT = 'spire.api.server.agent.v1.Agent';

test('a uid of the socket’s group may do what its role says, and without a role nothing', async (t) => {
  const { server } = await stage(t);
  const { interceptor } = server.context.gate;
  const viewer = unix(1000, [{ uid: 1000, role: 'viewer' }]);
  await interceptor.before?.(callBy(viewer, AGENT, 'ListAgents'), undefined);
  const refusals = [
    callBy(viewer, AGENT, 'CreateJoinToken'),
    callBy(unix(1001), AGENT, 'ListAgents'),
    callBy(unix(0), AGENT, 'PostStatus'),
  ];
  for (const call of refusals) {
    assert.throws(() => interceptor.before?.(call, undefined), {
      code: 'permission_denied',
      message: /may not call/,
    });
  }
  await interceptor.before?.(callBy(unix(0), AGENT, 'CreateJoinToken'), undefined);
});

test('a caller that is no agent has no node', async (t) => {
  const { server } = await stage(t);
  const call = server.context.gate.callOf(callBy(unix(0), AGENT, 'PostStatus'));
  assert.throws(() => call.node(), { code: 'permission_denied', message: 'the caller is not an agent' });
  assert.throws(() => call.issuingNode(), { code: 'permission_denied' });
  assert.equal(call.address, '');
});

/** A stream that says one thing and then waits for ever. */
async function* endless(stopped: () => void): AsyncGenerator<number> {
  try {
    yield 1;
    await new Promise(() => {});
  } finally {
    stopped();
  }
}

test('a stream ends at once when its caller is believed no longer, even while it waits', async () => {
  let change = () => {};
  let believed = true;
  const check = () => {
    if (!believed) throw new TouchmarkError('agent_not_active', 'no longer');
  };
  const stream = whileBelieved(
    endless(() => {}),
    check,
    (listener) => {
      change = listener;
      return () => {
        change = () => {};
      };
    },
  );
  assert.equal((await stream.next()).value, 1);
  const next = stream.next();
  change();
  believed = false;
  setImmediate(() => change());
  await assert.rejects(next, { code: 'agent_not_active', message: 'no longer' });
});

test('a stream that ends by itself stops listening', async () => {
  let listening = 0;
  const source = (async function* () {
    yield 1;
  })();
  const stream = whileBelieved(
    source,
    () => {},
    () => {
      listening += 1;
      return () => {
        listening -= 1;
      };
    },
  );
  const seen: number[] = [];
  for await (const item of stream) seen.push(item);
  assert.deepEqual([seen, listening], [[1], 0]);
});
