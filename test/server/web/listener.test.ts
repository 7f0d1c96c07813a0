import assert from 'node:assert/strict';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { connect as connectTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';
import { systemClock } from '../../../src/clock.js';
import { silentLogger } from '../../../src/log.js';
import type { TlsIdentity } from '../../../src/rpc/tls-listener.js';
import { readCertificateFiles, watchCertificateFiles } from '../../../src/server/web/certificate-files.js';
import { listenForRelyingParties, type WebListenerOptions } from '../../../src/server/web/listener.js';
import { createRoutes } from '../../../src/server/web/routes.js';
import { writePem } from '../../../src/x509/pem.js';
import { until } from '../../fakes/manual-clock.js';
import { makeRoot } from '../../support/der-factory.js';
import { rejectsCode } from '../../support/rejects-async.js';

function identity(name: string): TlsIdentity {
  const now = Math.floor(Date.now() / 1000);
  const { der, key } = makeRoot({ name, notBefore: now - 60, notAfter: now + 600 });
  return {
    chainPem: writePem('CERTIFICATE', der),
    keyPem: key.export({ format: 'pem', type: 'pkcs8' }).toString(),
  };
}

async function listening(t: TestContext, options: Partial<WebListenerOptions> = {}) {
  const routes = createRoutes();
  routes.add('/one', () => ({ type: 'text/x', body: Buffer.from('hello'), maxAge: 30 }));
  routes.add('/bad', () => {
    throw new Error('secret detail');
  });
  const shared = { host: '127.0.0.1', port: 0, routes, log: silentLogger(), identity: identity('first') };
  const listener = await listenForRelyingParties({ ...shared, ...options });
  t.after(() => listener[Symbol.asyncDispose]());
  return listener;
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
  readonly shown: string;
}

function ask(
  port: number,
  path: string,
  options: { method?: string; headers?: Record<string, string> } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const agent = new Agent({ keepAlive: false });
    const sent = request(
      { host: '127.0.0.1', port, path, agent, rejectUnauthorized: false, ...options },
      (response) => {
        const { subject } = (response.socket as TLSSocket).getPeerX509Certificate() as X509Certificate;
        let body = '';
        response.on('data', (part) => {
          body += String(part);
        });
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body, shown: subject }),
        );
      },
    );
    sent.on('error', reject);
    sent.end();
  });
}

describe('HTTPS for relying parties', () => {
  test('serves a route, its query left aside, and 304 and HEAD without a body', async (t) => {
    const { port } = await listening(t);
    const { status, headers, body } = await ask(port, '/one?x=1');
    assert.deepEqual([status, body, headers['cache-control']], [200, 'hello', 'max-age=30']);
    const again = await ask(port, '/one', { headers: { 'if-none-match': String(headers['etag']) } });
    assert.deepEqual([again.status, again.body], [304, '']);
    const head = await ask(port, '/one', { method: 'HEAD' });
    assert.deepEqual([head.status, head.body, head.headers['content-length']], [200, '', '5']);
  });

  test('refuses what is not there, what is not reading, paths and headers that are too long', async (t) => {
    const { port } = await listening(t);
    assert.equal((await ask(port, '/')).status, 404);
    assert.equal((await ask(port, '/one', { method: 'DELETE' })).status, 405);
    assert.equal((await ask(port, `/${'x'.repeat(2000)}`)).status, 414);
    assert.equal((await ask(port, '/one', { headers: { x: 'y'.repeat(9000) } })).status, 431);
    const failed = await ask(port, '/bad');
    assert.equal(failed.status, 500);
    assert.doesNotMatch(failed.body, /secret/);
  });

  test('shows a new certificate to new connections after a rotation', async (t) => {
    const listener = await listening(t);
    assert.match((await ask(listener.port, '/one')).shown, /first/);
    listener.rotate(identity('second'));
    assert.match((await ask(listener.port, '/one')).shown, /second/);
  });

  test('ends connections that say nothing, before and after the handshake', async (t) => {
    const limits = { handshakeMs: 200, headersMs: 200, requestMs: 200, idleMs: 200, writeMs: 400 };
    const { port } = await listening(t, { limits });
    const silent = connectTcp(port, '127.0.0.1');
    const idle = connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
    idle.once('secureConnect', () => idle.write('GET /one HTTP/1.1\r\n'));
    const closed = { silent: false, idle: false };
    for (const [name, socket] of [
      ['silent', silent],
      ['idle', idle],
    ] as const) {
      socket.on('error', () => {});
      socket.resume();
      socket.on('close', () => {
        closed[name] = true;
      });
    }
    await until('both are closed', () => closed.silent && closed.idle, 5_000);
  });

  test('takes no more connections of one address than its share, however quiet they are', async (t) => {
    const { port } = await listening(t, { limits: { connectionsPerAddress: 2 } });
    const opened = await Promise.all(
      [1, 2].map(async () => {
        const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
        t.after(() => socket.destroy());
        await new Promise((resolve) => socket.once('secureConnect', resolve));
        return socket;
      }),
    );
    await assert.rejects(ask(port, '/one'));
    opened[0]?.destroy();
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal((await ask(port, '/one')).status, 200);
  });

  test('takes no more connections than its limit', async (t) => {
    const { port } = await listening(t, { limits: { connections: 1 } });
    const first = connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
    t.after(() => first.destroy());
    await new Promise((resolve) => first.once('secureConnect', resolve));
    await assert.rejects(ask(port, '/one'));
  });

  test('says on which address it cannot listen, and that a certificate cannot be used', async (t) => {
    const { port } = await listening(t);
    await rejectsCode(
      'web_socket_failed',
      new RegExp(`cannot listen on 127\\.0\\.0\\.1:${port}`),
      listening(t, { port }),
    );
    const broken = { ...identity('x'), keyPem: 'nothing' };
    await rejectsCode('web_certificate_invalid', /cannot be used/, listening(t, { identity: broken }));
  });
});

describe('certificate files', () => {
  const folder = (t: TestContext) => {
    const dir = mkdtempSync(join(tmpdir(), 'web-'));
    t.after(() => rmSync(dir, { recursive: true, force: true }));
    const files = { certFile: join(dir, 'cert.pem'), keyFile: join(dir, 'key.pem') };
    const write = ({ chainPem, keyPem }: TlsIdentity) => {
      writeFileSync(files.certFile, chainPem);
      writeFileSync(files.keyFile, keyPem);
    };
    return { files, write };
  };

  test('are read when they belong together, and refused without a word of the key', async (t) => {
    const { files, write } = folder(t);
    await rejectsCode('web_certificate_invalid', /cert\.pem cannot be read/, readCertificateFiles(files));
    const good = identity('good');
    write(good);
    assert.deepEqual(await readCertificateFiles(files), good);
    const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    const keyPem = other.export({ format: 'pem', type: 'pkcs8' }).toString();
    for (const change of [{ keyPem }, { keyPem: 'x' }, { chainPem: 'x' }]) {
      write({ ...good, ...change });
      await rejectsCode(
        'web_certificate_invalid',
        /are not a certificate chain and its key$/,
        readCertificateFiles(files),
      );
    }
    write({ ...good, chainPem: 'x'.repeat(300_000) });
    await rejectsCode('web_certificate_invalid', /longer than 262144 bytes/, readCertificateFiles(files));
  });

  test('are read again when they change, and a bad pair leaves the old one', async (t) => {
    const { files, write } = folder(t);
    write(identity('first'));
    const seen: string[] = [];
    using _watch = watchCertificateFiles(files, { clock: systemClock, log: silentLogger() }, ({ chainPem }) =>
      seen.push(new X509Certificate(chainPem).subject),
    );
    const second = identity('second');
    writeFileSync(files.certFile, second.chainPem);
    await new Promise((resolve) => setTimeout(resolve, 1300));
    assert.deepEqual(seen, [], 'half of a renewal is not taken');
    writeFileSync(files.keyFile, second.keyPem);
    await until('the new pair is seen', () => seen.length > 0);
    assert.match(seen[0] ?? '', /second/);
  });
});
