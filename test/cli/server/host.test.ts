import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { program } from '../../../src/cli/server/program.js';
import { tpmConfig } from '../../fakes/attest-world.js';
import { startTestServer, type TestServer } from '../../fakes/test-server.js';
import { typist } from '../type.js';

let server: TestServer;
let at: ReturnType<typeof typist>;
const [a, b, c] = ['a1', 'b2', 'c3'].map((two) => two.repeat(32)) as [string, string, string];

before(async () => {
  server = await startTestServer({ config: { attestation: { tpm: { ...tpmConfig, enrol: 'approval' } } } });
  at = typist(program, { TOUCHMARK_SERVER_SOCKET: server.socketPath });
});
after(() => server.stop());

test('a list of chips is allowed at once, with names and labels, and shown', async () => {
  assert.equal(await at.good('host list'), 'No hosts.\n');
  const list = `# rack r7\n${a} web-1 rack=r7 role=web\n\n${b.toUpperCase()} web-2\n`;
  assert.equal(await at.good('host allow -f - -label site=north', list), 'Allowed 2 hosts\n');
  const { hosts } = await at.json('host list');
  assert.deepEqual(
    hosts.map((host: { name: string; labels: object }) => [host.name, host.labels]),
    [
      ['web-1', { site: 'north', rack: 'r7', role: 'web' }],
      ['web-2', { site: 'north' }],
    ],
  );
  assert.match(
    await at.good('host list'),
    /^NAME {3}STATE {3}.*\nweb-1 {2}pending {2}a1a1a1a1a1a1a1a1 {2}- /,
  );
  const shown = await at.good(`host show ${a}`);
  assert.match(shown, /^Host {6}: a1a1/);
  assert.match(shown, /Name {6}: web-1\nSPIFFE ID : spiffe:\/\/example\.org\/spire\/agent\/tpm\/a1a1/);
  assert.match(shown, /never_attested/);
  assert.equal((await at.json('host show b2b2b2')).name, 'web-2');
});

test('the name and the labels of a host are changed, and nothing else of it', async () => {
  const changed = await at.json('host set web-1 -label rack=r9 -removeLabel role');
  assert.deepEqual([changed.name, changed.labels], ['web-1', { site: 'north', rack: 'r9' }]);
  assert.equal((await at.json('host set web-1 -name web-one')).name, 'web-one');
});

test('a host that has not attested has nothing to quarantine or to hand on', async () => {
  await at.fails('host quarantine web-2', 2, /-reason is required/);
  await at.fails('host quarantine web-2 -reason pulled', 1, /b2b2.* has not attested yet/);
  await at.fails('host release web-2', 1, /b2b2.* has not attested yet/);
  await at.good(`host allow ${c}`);
  await at.fails('host replace web-2 c3c3c3', 1, /b2b2.* has not attested yet/);
});

test('a host is forgotten once', async () => {
  assert.equal(await at.good(`host forget ${a}`), `Forgot ${a}\n`);
  await at.fails(`host show ${a}`, 1, /a1a1/);
});

test('what is unknown or wrong is said', async () => {
  await at.fails('host approve NOPE-NOPE', 1, /NOPE-NOPE/);
  await at.fails('host deny NOPE-NOPE', 1, /NOPE-NOPE/);
  await at.fails('host show nobody', 1, /no host is called "nobody"/);
  await at.fails('host allow', 2, /give either an EK-HASH or -f LIST/);
  await at.fails(`host allow ${a} -f x`, 2, /give either an EK-HASH or -f LIST/);
  await at.fails('host allow xyz', 1, /xyz/);
  await at.fails(`host allow ${a} -label rack`, 2, /label "rack" is not key=value/);
  await at.fails('host allow -f -', 1, /-:2:1: "short" is not the hex SHA-256 of a key/, `${a}\nshort\n`);
  await at.fails('host allow -f /nonexistent', 1, /cannot read \/nonexistent: ENOENT/);
  await at.fails('host list -state well', 2, /-state must be one of /);
  await at.fails('host show', 2, /HOST is missing/);
});
