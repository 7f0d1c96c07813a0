import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { program } from '../../../src/cli/server/program.js';
import { startTestServer, type TestServer } from '../../fakes/test-server.js';
import { typist } from '../type.js';

let server: TestServer;
let at: ReturnType<typeof typist>;
let directory: string;

before(async () => {
  server = await startTestServer();
  at = typist(program, { TOUCHMARK_SERVER_SOCKET: server.socketPath });
  directory = await mkdtemp(join(tmpdir(), 'tm-apply-'));
});
after(async () => {
  await server.stop();
  await rm(directory, { recursive: true });
});

const entry = (path: string, more = '') =>
  `kind: Entry\nspiffeId: spiffe://example.org/${path}\nparentId: spiffe://example.org/h\nselectors: ["unix:uid:1", "unix:gid:2"]\n${more}`;
const both = `${entry('a')}---\n${entry('b', 'x509SvidTtl: 60\n')}`;

test('apply makes what is declared, and does nothing the second time', async () => {
  const planned = await at.plain('diff -f -', both);
  assert.equal(planned.code, 1);
  assert.equal(
    planned.stdout,
    '+ spiffe://example.org/a (unix:uid:1, unix:gid:2)\n+ spiffe://example.org/b (unix:uid:1, unix:gid:2)\nplanned: 2 to create, 0 to change, 0 as declared\n',
  );
  assert.equal((await at.json('entry count')).count, 0);
  assert.match(await at.good('apply -f -', both), /applied: 2 to create, 0 to change, 0 as declared\n$/);
  const again = await at.json('apply -f -', both);
  assert.deepEqual(again, { result: 'applied', create: [], update: [], unchanged: 2 });
  assert.equal(await at.good('diff -f -', both), 'planned: 0 to create, 0 to change, 2 as declared\n');
});

test('what differs is named, and changed in place', async () => {
  const changed = entry('b', 'x509SvidTtl: 90\nhint: web\ndnsNames: [b.example.org]\n').replace(
    '"unix:uid:1", "unix:gid:2"',
    '"unix:gid:2", "unix:uid:1"',
  );
  const before = await at.json('entry show -spiffeID spiffe://example.org/b');
  const report = await at.json('apply -f -', changed);
  assert.deepEqual(report.update[0].changes, [
    'x509SvidTtl: 60 -> 90',
    'dnsNames: [] -> ["b.example.org"]',
    'hint: "" -> "web"',
  ]);
  const { entries } = await at.json('entry show -spiffeID spiffe://example.org/b');
  assert.equal(entries[0].id, before.entries[0].id);
  assert.equal(entries[0].x509_svid_ttl, 90);
});

test('a mistake in the last file changes nothing', async () => {
  const [first, last] = [join(directory, 'first.yaml'), join(directory, 'last.yaml')];
  await writeFile(first, entry('c'));
  await writeFile(last, 'kind: Entri\n');
  await at.fails(`apply -f ${first} -f ${last}`, 1, new RegExp(`${last}:1:1: kind must be Entry`));
  assert.equal((await at.json('entry count -spiffeID spiffe://example.org/c')).count, 0);
  await at.fails('apply -f /nonexistent.yaml', 1, /cannot read \/nonexistent\.yaml: ENOENT/);
  await at.fails('apply', 2, /-f is required/);
});

test('two manifests that fight over one entry are refused', async () => {
  await at.fails(
    'apply -f -',
    1,
    /spiffe:\/\/example\.org\/d is declared twice/,
    `${entry('d')}---\n${entry('d', 'admin: true\n')}`,
  );
});

test('what the server refuses is told, and the rest is applied', async () => {
  const foreign = entry('x').replace('spiffe://example.org/x', 'spiffe://other.org/x');
  const { code, stdout, stderr } = await at.plain('apply -f -', `${entry('e')}---\n${foreign}`);
  assert.equal(code, 1);
  assert.match(stdout, /partly applied/);
  assert.match(stderr, /other\.org.*\(INVALID_ARGUMENT\)/);
  assert.equal((await at.json('entry count -spiffeID spiffe://example.org/e')).count, 1);
});

test('a thousand entries go in batches', async () => {
  const many = Array.from({ length: 1_001 }, (_, index) => entry(`many/${index}`)).join('---\n');
  assert.match(await at.good('apply -f -', many), /applied: 1001 to create/);
  assert.match(await at.good('diff -f -', many), /1001 as declared/);
});
