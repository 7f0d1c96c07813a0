import assert from 'node:assert/strict';
import test from 'node:test';
import { fromServer, oneLine } from '../../../src/agent/server/errors.js';
import { TouchmarkError } from '../../../src/errors.js';
import { rpcErrorOf } from '../../../src/rpc/rpc-error.js';

const believed = () => undefined;
/** gRPC's numbers of the statuses. */
const failed = (code: number, details: string) => rpcErrorOf({ code, details });

test('what a status means for the agent', () => {
  for (const [status, code, message] of [
    [14, 'server_away', 'the server cannot be reached: oops'],
    [4, 'server_away', 'the server cannot be reached: oops'],
    [1, 'server_away', 'the server cannot be reached: oops'],
    [12, 'server_unimplemented', 'the server says: oops'],
    [7, 'server_refused', 'the server says: oops'],
    [16, 'server_refused', 'the server says: oops'],
    [13, 'server_refused', 'the server says: oops'],
    [8, 'server_refused', 'the server says: oops'],
  ] as const) {
    const error = fromServer(failed(status, 'oops'), believed);
    assert.deepEqual([error.code, error.message], [code, message], String(status));
  }
});

test('an error of our own passes as it is, a foreign one means that the server is away', () => {
  const own = new TouchmarkError('server_answer_invalid', 'nonsense');
  assert.equal(fromServer(own, believed), own);
  const error = fromServer(new Error('socket'), believed);
  assert.deepEqual(
    [error.code, error.message, error.cause],
    ['server_away', 'the call to the server failed: socket', new Error('socket')],
  );
});

test('where the server was not believed, that is the reason, and only for a connection that failed', () => {
  const distrust = new TouchmarkError('server_untrusted', 'the server is someone else');
  assert.equal(
    fromServer(failed(14, 'no connection'), () => distrust),
    distrust,
  );
  assert.equal(fromServer(failed(13, 'oops'), () => distrust).code, 'server_refused');
});

test('a server’s sentence is one short line that drives no terminal', () => {
  assert.equal(oneLine('a\r\nb\t\u001b[31mred\u0000\u0085c'), 'a b [31mred c');
  assert.equal(oneLine('x'.repeat(10_000)).length, 500);
  const error = fromServer(failed(7, `evil\nlevel=info\n${'x'.repeat(2_000)}`), believed);
  assert.match(error.message, /^the server says: evil level=info x+$/);
  assert.ok(error.message.length < 600);
});
