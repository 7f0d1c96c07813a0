import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { type IncomingHttpHeaders, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { PageConfig } from '../../../src/config/server-config.js';
import { TouchmarkError } from '../../../src/errors.js';
import { createLogger, silentLogger } from '../../../src/log.js';
import { listenForPage, type PageListenerDeps } from '../../../src/server/page/listener.js';
import { manualClock } from '../../fakes/manual-clock.js';
import { rejectsCode } from '../../support/rejects-async.js';

const log = silentLogger();

async function serve(t: TestContext, config: PageConfig, more: Partial<PageListenerDeps> = {}) {
  const listener = await listenForPage({
    ...{ config, log, identity: { keyPem: '', chainPem: '' }, mayLook: () => true },
    answer: async ({ pathname }) => ({ status: 200, type: 'text/html; charset=utf-8', body: pathname }),
    ...more,
  });
  t.after(() => listener[Symbol.asyncDispose]());
  return listener;
}

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly headers: IncomingHttpHeaders;
}

function ask(
  at: { port: number } | { socketPath: string },
  path: string,
  more: object = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = request({ ...at, host: '127.0.0.1', path, ...more }, (answer) => {
      let body = '';
      answer.setEncoding('utf8').on('data', (chunk) => {
        body += chunk;
      });
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body, headers: answer.headers }));
    });
    call.on('error', reject).end();
  });
}

const loopback: PageConfig = { kind: 'loopback', host: '127.0.0.1', port: 0 };

test('a page is answered with a strict policy of content, and is never kept', async (t) => {
  const { port } = await serve(t, loopback);
  const { status, body, headers } = await ask({ port }, '/x');
  assert.deepEqual([status, body], [200, '/x']);
  assert.match(String(headers['content-security-policy']), /^default-src 'none'; style-src 'self'/);
  assert.doesNotMatch(String(headers['content-security-policy']), /unsafe|script-src/);
  assert.deepEqual([headers['cache-control'], headers['x-content-type-options']], ['no-store', 'nosniff']);
});

test('a web site that points its own name at this machine sees nothing', async (t) => {
  const { port } = await serve(t, loopback);
  const { status, body } = await ask({ port }, '/', { headers: { host: 'evil.example' } });
  assert.deepEqual([status, body], [421, 'this is not that host: ask for localhost\n']);
  for (const host of [`localhost:${port}`, '[::1]:1', '127.0.0.1'])
    assert.equal((await ask({ port }, '/', { headers: { host } })).status, 200, host);
});

test('nothing can be changed through it', async (t) => {
  const { port } = await serve(t, loopback);
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
    const { status, headers } = await ask({ port }, '/', { method });
    assert.deepEqual([status, headers.allow], [405, 'GET, HEAD'], method);
  }
  const { status, body } = await ask({ port }, '/', { method: 'HEAD' });
  assert.deepEqual([status, body], [200, '']);
});

test('on a Unix socket the roles of the peer’s uid are asked for', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'tm-page-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'page.sock');
  const asked: unknown[] = [];
  let may = true;
  const mayLook: PageListenerDeps['mayLook'] = (peer) => {
    asked.push(peer);
    return may;
  };
  await serve(t, { kind: 'unix', path }, { mayLook });
  assert.equal(statSync(path).mode & 0o777, 0o770);
  assert.equal((await ask({ socketPath: path }, '/')).status, 200);
  assert.deepEqual(asked, [{ via: 'unix', uid: process.getuid?.() }]);
  may = false;
  const { status, body } = await ask({ socketPath: path }, '/');
  assert.deepEqual([status, body], [403, 'only operators may look at this\n']);
});

test('a forwarded socket is no way in for a web site that points its own name at it', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'tm-page-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const socketPath = join(directory, 'page.sock');
  await serve(t, { kind: 'unix', path: socketPath });
  assert.equal((await ask({ socketPath }, '/', { headers: { host: 'evil.example' } })).status, 421);
  for (const host of ['localhost:8082', '[::1]:8082', '127.0.0.1:1'])
    assert.equal((await ask({ socketPath }, '/', { headers: { host } })).status, 200, host);
});

test('what is no path is told so, and nobody who is refused keeps the connection', async (t) => {
  const { port } = await serve(t, loopback);
  for (const path of ['http://[', '//[']) {
    const { status, body, headers } = await ask({ port }, path);
    assert.deepEqual([status, body, headers.connection], [400, 'this is no path\n', 'close'], path);
  }
});

test('a page that fails tells the log why, and the reader nothing', async (t) => {
  const lines: string[] = [];
  const write = (line: string) => void lines.push(line);
  const listening = createLogger({ format: 'text', write, clock: manualClock(), journal: false });
  const answer = async () => {
    throw new TouchmarkError('datastore_failed', 'secret detail');
  };
  const { port } = await serve(t, loopback, { answer, log: listening });
  const { status, body } = await ask({ port }, '/');
  assert.equal(status, 500);
  assert.doesNotMatch(body, /secret/);
  assert.match(lines.join(''), /a page could not be shown.*secret detail/);
});

test('an address that is taken is told', async (t) => {
  const { port } = await serve(t, loopback);
  await rejectsCode('server_socket_failed', /cannot listen on 127\.0\.0\.1/, serve(t, { ...loopback, port }));
});
