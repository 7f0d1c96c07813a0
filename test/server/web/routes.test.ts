import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { denyRoutes } from '../../../src/server/deny/routes.js';
import { createRoutes } from '../../../src/server/web/routes.js';
import { readPem } from '../../../src/x509/pem.js';
import { denyWorld, nodeOf } from '../../fakes/deny-world.js';

function example() {
  const routes = createRoutes();
  const body = Buffer.from('hello');
  routes.add('/one', () => ({ type: 'text/x', body, maxAge: 30 }));
  routes.add('/all/', (rest) => (rest === 'it' ? { type: 'text/y', body, maxAge: 5 } : undefined));
  return (path: string, method = 'GET', ifNoneMatch?: string) => routes.answer({ method, path, ifNoneMatch });
}

describe('routes', () => {
  test('answer with what they have, its kind, its tag and for how long it keeps', () => {
    const { status, headers, body } = example()('/one');
    assert.equal(status, 200);
    assert.equal(Buffer.from(body).toString(), 'hello');
    assert.match(headers['etag'] ?? '', /^"[A-Za-z0-9_-]{27}"$/);
    const { etag: _, ...rest } = headers;
    assert.deepEqual(rest, {
      'x-content-type-options': 'nosniff',
      'cache-control': 'max-age=30',
      'content-type': 'text/x',
      'content-length': '5',
    });
  });

  test('answer HEAD with the same headers and nothing else', () => {
    const ask = example();
    const head = ask('/one', 'HEAD');
    assert.deepEqual([head.status, head.headers, head.body.length], [200, ask('/one').headers, 0]);
  });

  test('answer 304 to whoever has it: exactly, in a list, weakly, or any', () => {
    const ask = example();
    const { etag = '' } = ask('/one').headers;
    for (const have of [etag, `"x", ${etag}`, `W/${etag}`, '*']) {
      const { status, headers, body } = ask('/one', 'GET', have);
      assert.deepEqual(
        [status, headers['etag'], body.length, headers['content-type']],
        [304, etag, 0, undefined],
        have,
      );
    }
    for (const have of ['"x"', etag.slice(1, -1), ''])
      assert.equal(ask('/one', 'GET', have).status, 200, have);
  });

  test('answer 404 for what there is not, and 405 for more than reading', () => {
    const ask = example();
    for (const path of ['/', '', '/One', '/one/', '/all/', '/all/that', '/all/it/', '/x/../one', '/%6fne']) {
      assert.equal(ask(path).status, 404, path);
    }
    assert.equal(ask('/all/it').status, 200);
    const refused = ask('/one', 'POST');
    assert.deepEqual([refused.status, refused.headers['allow']], [405, 'GET, HEAD']);
    assert.equal(ask('/nothing', 'POST').status, 404);
  });

  test('are not given one path twice', () => {
    const routes = createRoutes();
    routes.add('/a', () => undefined);
    assert.throws(() => routes.add('/a', () => undefined), /two routes for \/a/);
  });
});

test('the deny feed and the CRLs have routes, and a new tag when they change', async () => {
  const world = denyWorld();
  const run = await world.start();
  await world.enrol('a');
  await run.x509(nodeOf('a'));
  const routes = createRoutes();
  denyRoutes(routes, run.publisher);
  const get = (path: string) => routes.answer({ method: 'GET', path });
  const [{ authorityId, der } = { authorityId: '', der: new Uint8Array() }] = run.publisher.current().crls;
  const before = get('/deny-feed');
  assert.equal(Buffer.from(before.body).toString(), run.publisher.current().feed);
  assert.equal(before.headers['content-type'], 'application/jose');
  assert.equal(before.headers['cache-control'], 'max-age=30');
  const crl = get(`/crl/${authorityId}.crl`);
  assert.deepEqual(
    [crl.headers['content-type'], Buffer.from(crl.body)],
    ['application/pkix-crl', Buffer.from(der)],
  );
  const [block] = readPem(Buffer.from(get('/crl/all.pem').body).toString());
  assert.deepEqual([block?.label, Buffer.from(block?.der ?? [])], ['X509 CRL', Buffer.from(der)]);
  for (const path of ['/crl/', '/crl/ff.crl', `/crl/${authorityId}`, '/crl'])
    assert.equal(get(path).status, 404, path);
  await world.setState('a', 'drifted');
  await world.clock.pass(1100);
  assert.notEqual(get('/deny-feed').headers['etag'], before.headers['etag']);
  assert.notEqual(get(`/crl/${authorityId}.crl`).headers['etag'], crl.headers['etag']);
  await run.stop();
});
