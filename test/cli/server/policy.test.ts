import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { parse } from 'yaml';
import { program } from '../../../src/cli/server/program.js';
import { hostNamed } from '../../fakes/policy-world.js';
import { startTestServer, type TestServer } from '../../fakes/test-server.js';
import { digestOf } from '../../support/policy-manifests.js';
import { typist } from '../type.js';

let server: TestServer;
let at: ReturnType<typeof typist>;
let directory: string;

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tm-policy-'));
});
beforeEach(async () => {
  await server?.stop();
  server = await startTestServer();
  at = typist(program, { TOUCHMARK_SERVER_SOCKET: server.socketPath });
});
after(async () => {
  await server.stop();
  await rm(directory, { recursive: true });
});

const set = `kind: ReferenceSet
name: uki
bootChain: [{digest: "${digestOf(1)}", label: shim}]
files: [{digest: "${digestOf(2)}", path: /usr/bin/true}]
`;
const policy = `kind: MeasurementPolicy
name: fleet
references: [uki]
bootChain: {}
`;
const group = `kind: HostGroup
name: web
labels: {role: web*}
policy: fleet
`;
const entry = `kind: Entry
spiffeId: spiffe://example.org/web
parentId: spiffe://example.org/h
selectors: ["unix:uid:1"]
`;
const all = [set, policy, group, entry].join('---\n');

/** A host whose evidence the server has never seen. */
async function addHost(id: string, labels: Record<string, string>): Promise<void> {
  const host = hostNamed(id.repeat(64), 'trusted', labels);
  await server.store.commit([{ kind: 'host', key: host.id, value: { ...host, name: `web-${id}` } }]);
}

test('one file declares sets, policies, groups and entries, and applying it again changes nothing', async () => {
  const planned = await at.plain('diff -f -', all);
  assert.equal(planned.code, 1);
  const lines = planned.stdout.split('\n').map((line) => line.replace(/\([0-9a-f]{12}\)/, '(V)'));
  assert.deepEqual(lines, [
    '+ ReferenceSet uki (V)',
    '+ MeasurementPolicy fleet (V)',
    '+ HostGroup web (V)',
    '+ spiffe://example.org/web (unix:uid:1)',
    'No host is judged otherwise.',
    'planned: 4 to create, 0 to change, 0 as declared',
    '',
  ]);
  assert.equal((await at.json('policy list')).objects.length, 0);
  assert.match(await at.good('apply -f -', all), /applied: 4 to create, 0 to change, 0 as declared\n$/);
  assert.match(await at.good('apply -f -', all), /^applied: 0 to create, 0 to change, 4 as declared\n$/);
  assert.match(await at.good('diff -f -', all), /^planned: 0 to create/);
});

test('what is in force is listed, with who is judged by it and what it is used by', async () => {
  await addHost('a', { role: 'web' });
  await at.good('apply -f -', all);
  const { objects } = await at.json('policy list');
  assert.equal(objects.length, 1);
  assert.equal(objects[0].name, 'fleet');
  assert.equal(objects[0].hosts, 1);
  assert.deepEqual(objects[0].used_by, ['HostGroup web']);
  assert.match(await at.good('reference list'), /uki +[0-9a-f]{12} +0 .* fleet +1 bootChain, 1 files/);
  assert.match(await at.good('group list'), /web +[0-9a-f]{12} +1 .* - +role=web\* -> fleet, priority 0/);
});

test('what show prints can be applied as it is, and older versions are shown by their hash', async () => {
  await at.good('apply -f -', all);
  const shown = await at.good('reference show uki');
  assert.match(
    shown,
    /^# version +: [0-9a-f]{64}\n# made +: .* by uid \d+\n# in force +: .*\n# used by +: MeasurementPolicy fleet\n/,
  );
  assert.deepEqual(parse(shown).files, [{ digest: digestOf(2), path: '/usr/bin/true' }]);
  assert.match(await at.good('apply -f -', shown), /applied: 0 to create, 0 to change, 1 as declared/);
  const { hash } = await at.json('reference show uki');
  await at.good('apply -f -', `${set}description: newer\n`);
  assert.equal((await at.json('reference show uki')).manifest.description, 'newer');
  const old = await at.json(`reference show uki -hash ${hash}`);
  assert.equal(old.manifest.description, '');
  assert.equal(old.published_at, '0');
  const { objects } = await at.json('reference versions uki');
  assert.deepEqual(new Set(objects.map((version: { hash: string }) => version.hash)).size, 2);
  assert.ok(objects.some((version: { hash: string }) => version.hash === hash));
  assert.match(await at.good('reference versions uki'), new RegExp(`\\n${hash} .* - +1 bootChain, 1 files`));
  assert.equal((await at.json(`reference show uki -hash ${hash.slice(0, 12)}`)).hash, hash);
  await at.fails('reference versions gone', 1, /there is no ReferenceSet gone/);
  await at.fails(
    `reference show uki -hash ${hash.slice(0, 3)}`,
    1,
    /there is no ReferenceSet uki of the hash/,
  );
  await at.fails('policy show gone', 1, /there is no MeasurementPolicy gone/);
  await at.fails(
    `policy show fleet -hash ${'0'.repeat(64)}`,
    1,
    /there is no MeasurementPolicy fleet of the hash 0000/,
  );
});

test('mistakes are told with their place in the file, before anything is sent', async () => {
  const wrong = all
    .replace('bootChain: {}', 'bootchain: {}')
    .replace('label: shim', 'digst: x')
    .replace('web*', 'a***');
  const path = join(directory, 'wrong.yaml');
  await writeFile(path, wrong);
  const { code, stderr } = await at.plain(`apply -f ${path}`);
  assert.equal(code, 1);
  const places = stderr.split('\n').filter((line) => line.includes('wrong.yaml'));
  assert.equal(places.length, 3);
  assert.match(
    places[0] ?? '',
    /wrong\.yaml:3:\d+: bootChain\[0\]\.digst: unknown key; did you mean "digest"\?/,
  );
  assert.match(places[1] ?? '', /wrong\.yaml:9:1: bootchain: unknown key; did you mean "bootChain"\?/);
  assert.match(
    places[2] ?? '',
    /wrong\.yaml:13:10: labels\.role: pattern "a\*\*\*" has more than two stars in a row/,
  );
  assert.equal((await at.json('reference list')).objects.length, 0);
});

test('policy check reads manifests without a server', async () => {
  const offline = typist(program, { TOUCHMARK_SERVER_SOCKET: '/nonexistent' });
  const { stdout, stderr, code } = await offline.plain('policy check -f -', all);
  assert.equal(code, 0);
  assert.match(
    stdout,
    /^ReferenceSet uki is good: [0-9a-f]{64}\nMeasurementPolicy fleet is good: .*\nHostGroup web is good/,
  );
  assert.match(stderr, /1 entries are left out/);
  const nothing = 'kind: MeasurementPolicy\nname: p\nbootChain: {}\n';
  const refused = await offline.plain('policy check -f -', nothing);
  assert.equal(refused.code, 1);
  assert.match(
    refused.stderr,
    /-:3:1: bootChain: has nothing to compare with: name references, or accept digests/,
  );
});

test('policy check sees what is wrong with the objects of the files together', async () => {
  const offline = typist(program, { TOUCHMARK_SERVER_SOCKET: '/nonexistent' });
  const ring = `${set}includes: [other]\n---\n${set.replace('uki', 'other')}includes: [uki]\n---\n${policy}---\n${policy}`;
  const { code, stderr } = await offline.plain('policy check -f -', ring);
  assert.equal(code, 1);
  assert.match(stderr, /MeasurementPolicy fleet is declared twice\n/);
  assert.match(stderr, /reference sets include one another: uki -> other -> uki/);
  const open = await offline.plain('policy check -f -', `${policy}---\n${group}`);
  assert.equal(open.code, 0);
  assert.match(
    open.stderr,
    /^note: MeasurementPolicy fleet names ReferenceSet uki, which is not in these files: the server has to have it\n$/,
  );
  const pinned = await offline.plain(
    'policy check -f -',
    `${set}---\n${policy.replace('[uki]', `[uki@${'0'.repeat(64)}]`)}`,
  );
  assert.match(pinned.stderr, /names ReferenceSet uki@0{64}, which is not in these files/);
  const empty = await offline.plain('policy check -f -', '# nothing\n');
  assert.equal(empty.code, 1);
  assert.match(empty.stderr, /-:1:1: holds no manifest/);
});

test('a large set of JSON is read whole and comes back whole', async () => {
  const files = Array.from({ length: 20_000 }, (_, index) => ({
    digest: `sha256:${index.toString(16).padStart(64, '0')}`,
    path: `/usr/lib/lib${index}.so`,
  }));
  const path = join(directory, 'large.json');
  await writeFile(path, JSON.stringify([{ kind: 'ReferenceSet', name: 'large', files }]));
  assert.match(await at.good(`apply -f ${path}`), /applied: 1 to create/);
  const { manifest } = await at.json('reference show large');
  assert.equal(manifest.files.length, 20_000);
  await writeFile(
    path,
    JSON.stringify([{ kind: 'ReferenceSet', name: 'large', files: [...files, { path: 1 }] }]),
  );
  await at.fails(`apply -f ${path}`, 1, /large\.json:1:1: files\[20000\]\.digest: is missing/);
});

test('simulate says what would become of every host, and exits with 1 when a good one is lost', async () => {
  await addHost('a', { role: 'web' });
  const { code, stdout } = await at.plain('policy simulate -f -', all);
  assert.equal(code, 0);
  assert.match(stdout, /web-a +trusted +\? +fleet +no_evidence: it has shown no evidence yet/);
  assert.match(
    stdout,
    /1 of 1 hosts are judged otherwise; of 1 good ones 0 would lose their trust or identities, 1 cannot be told/,
  );
  const { impact } = await at.json('policy simulate -f -', all);
  assert.deepEqual(impact.outcomes[0].state_now, 'HOST_STATE_TRUSTED');
  assert.equal((await at.json('policy list')).objects.length, 0);
});

test('explain names the policy that applies, also where nothing was judged by it', async () => {
  await addHost('a', { role: 'web' });
  await addHost('b', { role: 'db' });
  await at.good('apply -f -', all);
  assert.match(
    await at.good('host explain web-a'),
    /Policy +: fleet of group web; its evidence is not judged by it yet, or cannot be judged/,
  );
  assert.match(await at.good('host explain web-b'), /Policy +: none applies: no group matches its labels/);
});

test('delete is refused while something names it', async () => {
  await at.good('apply -f -', all);
  await at.fails('policy delete fleet', 1, /MeasurementPolicy fleet is named by HostGroup web/);
  assert.match(await at.good('group delete web'), /Deleted HostGroup web/);
  assert.match(await at.good('policy delete fleet'), /Deleted MeasurementPolicy fleet/);
  await at.fails('policy delete fleet', 1, /there is no MeasurementPolicy fleet/);
});

test('what was done stands in the audit log', async () => {
  await at.good('apply -f - -allowWithdrawal 25', all);
  const line = server.lines.find(
    ({ method, status }) => String(method).endsWith('/ApplyObjects') && status === 'OK',
  );
  assert.deepEqual(line?.['objects'], [
    ...['ReferenceSet uki created', 'MeasurementPolicy fleet created', 'HostGroup web created'],
  ]);
  assert.equal(line?.['allowed_withdrawal'], 25);
  assert.equal(line?.['hosts_lost'], 0);
  await at.fails('apply -f - -allowWithdrawal 101', 2, /101 is no share in percent/, all);
});
