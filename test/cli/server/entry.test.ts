import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { program } from '../../../src/cli/server/program.js';
import { startTestServer, type TestServer } from '../../fakes/test-server.js';
import { typist } from '../type.js';

let server: TestServer;
let at: ReturnType<typeof typist>;

before(async () => {
  server = await startTestServer();
  at = typist(program, { TOUCHMARK_SERVER_SOCKET: server.socketPath });
});
after(() => server.stop());

const web =
  'entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/web -selector unix:uid:1000 -dns web.example.org -x509SVIDTTL 10m -hint web';

test('an entry is created, shown, counted, changed and deleted', async () => {
  const created = await at.json(web);
  const entry = created.results[0].entry;
  assert.deepEqual(entry.spiffe_id, { trust_domain: 'example.org', path: '/web' });
  assert.equal(entry.x509_svid_ttl, 600);
  assert.deepEqual(entry.selectors, [{ type: 'unix', value: 'uid:1000' }]);
  assert.deepEqual(entry.federates_with, []);

  const shown = await at.good(`entry show -entryID ${entry.id}`);
  assert.match(shown, /^Found 1 entry\n\nEntry ID {6}: /);
  assert.match(
    shown,
    /X509-SVID TTL : 600\nJWT-SVID TTL {2}: default\nSelector {6}: unix:uid:1000\nDNS name {6}: web\.example\.org\nHint {10}: web\n/,
  );
  assert.equal(await at.good('entry count -hint web'), '1 registration entry\n');
  assert.equal((await at.json('entry count -spiffeID spiffe://example.org/other')).count, 0);

  const changed = await at.json(
    `entry update -entryID ${entry.id} -parentID spiffe://example.org/host -spiffeID spiffe://example.org/web -selector unix:uid:1001`,
  );
  assert.equal(changed.results[0].entry.x509_svid_ttl, 0);
  assert.equal(changed.results[0].entry.revision_number, '1');
  assert.equal(await at.good(`entry delete -entryID ${entry.id}`), `Deleted entry with ID: ${entry.id}\n`);
  assert.equal((await at.json('entry show')).entries.length, 0);
});

test('selectors are matched in the four ways', async () => {
  const { results } = await at.json(`${web} -selector unix:gid:5`);
  for (const [how, found] of [
    ['exact', 0],
    ['superset', 1],
    ['any', 1],
    ['subset', 0],
  ] as const) {
    const { entries } = await at.json(`entry show -selector unix:uid:1000 -matchSelectorsOn ${how}`);
    assert.equal(entries.length, found, how);
  }
  await at.good(`entry delete -file -`, JSON.stringify({ ids: [results[0].entry.id] }));
});

test('a node alias hangs below the server', async () => {
  const line = 'entry create -node -spiffeID spiffe://example.org/rack -selector tpm:model:x';
  const { results } = await at.json(line);
  assert.deepEqual(results[0].entry.parent_id, { trust_domain: 'example.org', path: '/spire/server' });
  await at.fails(`${line} -parentID spiffe://example.org/x`, 2, /-node and -parentID exclude each other/);
  await at.good(`entry delete -entryID ${results[0].entry.id}`);
});

test('SPIRE’s file of entries is read, from standard input too, and can be fed back', async () => {
  const file = JSON.stringify({
    entries: [
      {
        entry_id: 'mine',
        selectors: [{ type: 'unix', value: 'uid:7' }],
        spiffe_id: 'spiffe://example.org/a',
        parent_id: 'spiffe://example.org/host',
        x509_svid_ttl: 60,
        jwt_svid_ttl: 30,
        entry_expiry: 4_000_000_000,
        dns_names: ['a.example.org'],
        store_svid: false,
        admin: true,
      },
      {
        selectors: ['unix:uid:8'],
        spiffe_id: 'spiffe://example.org/b',
        parent_id: 'spiffe://example.org/host',
      },
    ],
  });
  const { results } = await at.json('entry create -data -', file);
  assert.equal(results.length, 2);
  assert.equal(results[0].entry.id, 'mine');
  assert.equal(results[0].entry.admin, true);
  assert.equal(results[0].entry.expires_at, '4000000000');
  const update = await at.json(
    'entry update -data -',
    file
      .replace('"x509_svid_ttl":60', '"x509_svid_ttl":90')
      .replace(/,\{"selectors":\["unix:uid:8.*\}\]/, ']'),
  );
  assert.equal(update.results[0].entry.x509_svid_ttl, 90);
  await at.good(
    'entry delete -file -',
    JSON.stringify(results.map((row: { entry: { id: string } }) => row.entry.id)),
  );
});

test('every problem of a file of entries is told at once, and nothing is sent', async () => {
  const file = JSON.stringify([
    { spiffe_id: 'nope', parent_id: 'spiffe://example.org/h', selectors: [], x509_svid_tll: 3 },
    'entry',
    { spiffe_id: 'spiffe://example.org/x', parent_id: 7, selectors: ['unix'], admin: 'yes' },
  ]);
  const { code, stderr } = await at.plain('entry create -data -', file);
  assert.equal(code, 1);
  for (const line of [
    /entries\[0\]\.spiffe_id: /,
    /entries\[0\]\.selectors: at least one is needed/,
    /entries\[0\]\.x509_svid_tll: unknown; did you mean "x509_svid_ttl"\?/,
    /entries\[1\]: an entry is an object/,
    /entries\[2\]\.parent_id: must be text/,
    /entries\[2\]\.selectors: /,
    /entries\[2\]\.admin: must be true or false/,
  ])
    assert.match(stderr, line);
  assert.match(stderr, /Correct every place that is named; nothing was sent\.\n$/);
  assert.equal((await at.json('entry count')).count, 0);
});

test('what cannot be done is said by its item, in words and as JSON', async () => {
  await at.good(web);
  const again = await at.plain(`${web} -output json`);
  assert.equal(again.code, 1);
  assert.match(again.stderr, /\(ALREADY_EXISTS\)\n$/);
  assert.equal(JSON.parse(again.stdout).results[0].status.code, 6);
  await at.fails('entry delete -entryID none', 1, /none.*\(NOT_FOUND\)/s);
  await at.fails('entry show -entryID none', 1, /none/);
  const { entries } = await at.json('entry show');
  await at.good(`entry delete -entryID ${entries[0].id}`);
});

test('wrong usage of the entry verbs ends with 2', async () => {
  await at.fails('entry create -parentID spiffe://example.org/h', 2, /-spiffeID is required/);
  await at.fails(
    'entry create -parentID spiffe://example.org/h -spiffeID spiffe://example.org/w',
    2,
    /at least one -selector is required/,
  );
  await at.fails('entry update -spiffeID spiffe://example.org/w', 2, /-entryID is required/);
  await at.fails('entry delete', 2, /give either -entryID or -file/);
  await at.fails('entry delete -file -', 1, /JSON/, '{');
  await at.fails('entry delete -file /nonexistent', 1, /cannot read \/nonexistent: ENOENT/);
  await at.fails('entry delete -file -', 1, /holds no list of entry ids/, '{"ids":[1]}');
  await at.fails('entry show -spiffeID http://x', 1, /spiffe/i);
  await at.fails('entry show -matchSelectorsOn some', 2, /must be one of exact, subset, superset, any/);
});

test('whoever registers a workload by its file alone is warned, and so is whoever lists it', async () => {
  const line =
    'entry create -parentID spiffe://example.org/h -spiffeID spiffe://example.org/w -selector unix:path:/bin/w';
  const { code, stdout, stderr } = await at.plain(line);
  assert.equal(code, 0);
  assert.match(stderr, /^warning: weak selectors: /);
  assert.match(stdout, /\nWeak +: .+\n/);
  assert.match(await at.good('entry show -spiffeID spiffe://example.org/w'), /\nWeak +: .+/);
  const { stderr: quiet } = await at.plain(`${line} -selector unix:uid:5`);
  assert.equal(quiet, '');
});
