import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as http2Connect } from 'node:http2';
import { connect } from 'node:net';
import { type TestContext, test } from 'node:test';
import { entryOf } from '../../support/entries.js';
import { mine, serveForTest } from './support.js';

/** The HTTP status and the size of the first message of FetchX509SVID, called under this `:authority`. */
async function call(t: TestContext, socketPath: string, authority: string): Promise<[unknown, number]> {
  const session = http2Connect('http://localhost', { createConnection: () => connect(socketPath) });
  t.after(() => session.destroy());
  const request = session.request({
    ':method': 'POST',
    ':authority': authority,
    ':path': '/SpiffeWorkloadAPI/FetchX509SVID',
    'content-type': 'application/grpc',
    te: 'trailers',
    'workload.spiffe.io': 'true',
  });
  request.end(Buffer.alloc(5));
  const [headers] = await once(request, 'response');
  const [data] = await once(request, 'data');
  return [headers[':status'], data.length];
}

test('DF-01 a workload is served whatever its client writes as :authority', async (t) => {
  const { store, socketPath } = await serveForTest(t);
  store.serve();
  store.put(entryOf('web', [mine]));
  for (const authority of ['localhost', 'unix', 'workload.example.org:1', '%2Frun%2Fagent.sock']) {
    const [status, size] = await call(t, socketPath, authority);
    assert.equal(status, 200, authority);
    assert.ok(size > 100, `${authority}: ${size} bytes`);
  }
});
