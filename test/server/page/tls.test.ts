import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { request } from 'node:https';
import { test } from 'node:test';
import { listenForLookers } from '../../../src/server/listeners.js';
import { makeSpiffeId, parseTrustDomain } from '../../../src/spiffe/id.js';
import { writePemCertificates } from '../../../src/x509/pem.js';
import { exportSpki } from '../../../src/x509/spki.js';
import { startTestServer } from '../../fakes/test-server.js';

const domain = parseTrustDomain('example.org');
const viewer = makeSpiffeId(domain, '/ops/viewer');

test('beyond this machine the page is shown to SVIDs of operators, and to nobody else', async (t) => {
  const { context, stop } = await startTestServer({
    config: { administrators: [{ spiffeId: viewer, role: 'viewer' }] },
  });
  t.after(stop);
  const page = { kind: 'tls', host: '127.0.0.1', port: 0 } as const;
  const listener = await listenForLookers({ ...context, config: { ...context.config, page } });
  assert.ok(listener);
  t.after(() => listener[Symbol.asyncDispose]());
  const svidOf = (path: string) => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const id = makeSpiffeId(domain, path);
    const { chain } = context.issuer.workloadX509({ id, spki: exportSpki(publicKey), ttl: 600 });
    return {
      cert: writePemCertificates(chain),
      key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    };
  };
  const ask = (identity: { cert?: string; key?: string }) =>
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
  const [status, body] = await ask(svidOf('/ops/viewer'));
  assert.equal(status, 200);
  assert.match(body, /No host has enrolled yet/);
  const refused = [403, 'only operators may look at this\n'];
  assert.deepEqual(await ask({}), refused);
  assert.deepEqual(await ask(svidOf('/somebody')), refused);
});
