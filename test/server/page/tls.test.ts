import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { request } from 'node:https';
import { connect as connectTcp } from 'node:net';
import { type TestContext, test } from 'node:test';
import { type ConnectionOptions, connect } from 'node:tls';
import { listenForBrowsers } from '../../../src/server/listeners.js';
import { makeSpiffeId, parseTrustDomain } from '../../../src/spiffe/id.js';
import { writePemCertificates } from '../../../src/x509/pem.js';
import { exportSpki } from '../../../src/x509/spki.js';
import { until } from '../../fakes/manual-clock.js';
import { startTestServer } from '../../fakes/test-server.js';

const domain = parseTrustDomain('example.org');
const viewer = makeSpiffeId(domain, '/ops/viewer');

/** The page over TLS, and SVIDs to look at it with. */
async function servePage(t: TestContext) {
  const { context, stop } = await startTestServer({
    config: { administrators: [{ spiffeId: viewer, role: 'viewer' }] },
  });
  t.after(stop);
  const page = { kind: 'tls', host: '127.0.0.1', port: 0 } as const;
  const listener = await listenForBrowsers({ ...context, config: { ...context.config, page } });
  assert.ok(listener);
  t.after(() => listener[Symbol.asyncDispose]());
  const node = makeSpiffeId(domain, '/spire/agent/tpm/01');
  await context.issuer.reserve(node, 'workload', 600, 1);
  const svidOf = (path: string, of = {}) => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const id = makeSpiffeId(domain, path);
    const { chain } = context.issuer.workloadX509({ id, spki: exportSpki(publicKey), ttl: 600, ...of });
    return {
      cert: writePemCertificates(chain),
      key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    };
  };
  const ask = (identity: ConnectionOptions) =>
    new Promise<[number | undefined, string]>((resolve, reject) => {
      const options = { host: '127.0.0.1', port: listener.port, rejectUnauthorized: false, agent: false };
      request({ ...options, ...identity }, (answer) => {
        let body = '';
        answer.setEncoding('utf8').on('data', (chunk) => {
          body += chunk;
        });
        answer.on('end', () => resolve([answer.statusCode, body]));
      })
        .on('error', reject)
        .end();
    });
  return { port: listener.port, svidOf, ask, node, context };
}

test('beyond this machine the page is shown to SVIDs of operators, and to nobody else', async (t) => {
  const { svidOf, ask, node, context } = await servePage(t);
  const [status, body] = await ask(svidOf('/ops/viewer'));
  assert.equal(status, 200);
  assert.match(body, /No host has enrolled yet/);
  const refused = [403, 'only operators may look at this\n'];
  assert.deepEqual(await ask({}), refused);
  assert.deepEqual(await ask(svidOf('/somebody')), refused);
  const held = svidOf('/ops/viewer', { node });
  assert.equal((await ask(held))[0], 200);
  context.serials.withdraw(node, context.clock.now());
  assert.deepEqual(await ask(held), refused, 'it was taken back from the host that holds it');
});

test('no session of TLS is resumed, so that an operator shows the chain at every connection', async (t) => {
  const { port, svidOf } = await servePage(t);
  const fetchPage = async (options: ConnectionOptions) => {
    const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...options });
    const tickets: Buffer[] = [];
    socket.on('session', (ticket) => tickets.push(ticket));
    socket.write('GET / HTTP/1.1\r\nhost: page\r\nconnection: close\r\n\r\n');
    const [answer] = await once(socket, 'data');
    const session = tickets[0] ?? socket.getSession();
    const resumed = socket.isSessionReused();
    socket.destroy();
    return { status: String(answer).slice(9, 12), session, resumed };
  };
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    const options = { ...svidOf('/ops/viewer'), maxVersion };
    const { session } = await fetchPage(options);
    const { status, resumed } = await fetchPage({ ...options, ...(session ? { session } : {}) });
    assert.deepEqual([status, resumed], ['200', false], maxVersion);
  }
});

test('one address does not keep the others out by handshakes that it never finishes', async (t) => {
  const { port } = await servePage(t);
  const silent = Array.from({ length: 80 }, () => connectTcp(port, '127.0.0.1'));
  t.after(() => {
    for (const socket of silent) socket.destroy();
  });
  for (const socket of silent) socket.on('error', () => {});
  const closed = () => silent.filter((socket) => socket.closed).length;
  await until('those beyond the limit are closed', () => closed() >= 16);
  assert.equal(closed(), 16);
});
