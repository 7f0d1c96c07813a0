import assert from 'node:assert/strict';
import { copyFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { program } from '../../../src/cli/server/program.js';
import { readSince } from '../../../src/cli/server/since.js';
import { tpmConfig } from '../../fakes/attest-world.js';
import { startTestServer, type TestServer } from '../../fakes/test-server.js';
import { throwsCode } from '../../support/rejects.js';
import { typist } from '../type.js';

let server: TestServer;
let at: ReturnType<typeof typist>;
let copy: string;
const [a, b] = ['a1', 'b2'].map((two) => two.repeat(32)) as [string, string];

before(async () => {
  server = await startTestServer({ config: { attestation: { tpm: { ...tpmConfig, enrol: 'approval' } } } });
  at = typist(program, { TOUCHMARK_SERVER_SOCKET: server.socketPath });
  copy = await mkdtemp(join(tmpdir(), 'tm-audit-'));
});
after(async () => {
  await server.stop();
  await rm(copy, { recursive: true, force: true });
});

interface ShownEvent {
  readonly seq: string;
  readonly name: string;
  readonly subject: string;
  readonly by: string;
  readonly fields: readonly { name: string; values: string[] }[];
}

async function listed(words: string): Promise<ShownEvent[]> {
  return (await at.json(`audit list ${words}`)).events;
}

/** The log as it lies on the server's disk, and the bundle, both far away from it. */
async function copyAway(): Promise<{ bundle: string }> {
  await at.good('audit verify');
  const events = join(server.config.dataDir, 'events');
  for (const name of await readdir(events)) await copyFile(join(events, name), join(copy, name));
  const bundle = join(copy, 'bundle.json');
  await writeFile(bundle, await at.good('bundle show -format spiffe'));
  return { bundle };
}

test('the record begins with the authorities that the server made for itself', async () => {
  const names = (await listed('-limit 100')).map(({ name }) => name);
  assert.deepEqual(names.slice(0, 2), ['record_started', 'server_started']);
  assert.equal(names.filter((name) => name === 'authority_activated').length, 2);
});

test('what an operator did is listed with who it was', async () => {
  await at.good(`host allow ${a} -name web-1 -label rack=r7`);
  await at.good(`host allow ${b} -name web-2`);
  const [event, ...more] = await listed('-host web-1');
  assert.equal(more.length, 0);
  assert.deepEqual(
    [event?.name, event?.subject, event?.by],
    ['host_allowed', a, `uid ${process.getuid?.() ?? 0}`],
  );
  assert.deepEqual(event?.fields, [
    { name: 'labels', values: ['rack=r7'] },
    { name: 'name', values: ['web-1'] },
  ]);
  assert.match(
    await at.good('audit list -name host_allowed -limit 1'),
    /^SEQ {2}AT .*\n\d+ +20\S+Z {2}host_allowed {2}b2b2b2b2b2b2b2b2 +uid \d+ +labels= name=web-2\n$/,
  );
});

test('an entry is recorded by its digest and the names of what changed, never by its content', async () => {
  const parent = 'spiffe://example.org/spire/agent/x509pop/a';
  const made = await at.json(
    `entry create -spiffeID spiffe://example.org/web -parentID ${parent} -selector unix:uid:1000`,
  );
  const id = made.results?.[0]?.entry?.id ?? made.entries?.[0]?.id ?? made.id;
  await at.good(
    `entry update -entryID ${id} -spiffeID spiffe://example.org/web -parentID ${parent} -selector unix:uid:1000 -hint web`,
  );
  await at.good(`entry delete -entryID ${id}`);
  const events = await listed(`-subject ${id}`);
  assert.deepEqual(
    events.map(({ name }) => name),
    ['entry_created', 'entry_updated', 'entry_deleted'],
  );
  const field = (index: number, name: string) =>
    events[index]?.fields.find((one) => one.name === name)?.values;
  assert.deepEqual(field(1, 'changed'), ['hint']);
  assert.deepEqual(field(1, 'sha256_before'), field(0, 'sha256'));
  assert.deepEqual(field(2, 'sha256'), field(1, 'sha256'));
  assert.equal(JSON.stringify(events).includes('unix:uid'), false);
});

test('a list is cut to the newest ones, by time and by name', async () => {
  assert.equal((await listed('-limit 2')).length, 2);
  assert.equal((await listed('-limit 0')).length, (await listed('-limit 1000')).length);
  assert.equal((await listed('-since 1h')).length, (await listed('-limit 0')).length);
  assert.deepEqual(await listed('-since 2999-01-01T00:00:00Z'), []);
  assert.equal(await at.good('audit list -subject nobody'), 'No events.\n');
  await at.fails('audit list -name nothing', 2, /nothing/);
  await at.fails('audit list -host web-1 -subject x', 2, /-host or -subject, not both/);
  await at.fails('audit list -since yesterday', 2, /-since "yesterday" is not a time and not an age/);
  throwsCode('flag_invalid', /not a time/, () => readSince('since', '2026-99-99', 0));
  assert.equal(readSince('since', '90s', 100_000), 10_000);
});

test('the server verifies its own record', async () => {
  const shown = await at.good('audit verify');
  assert.match(shown, /^Record of {3}: example\.org\/[0-9a-f]{32}\n/);
  assert.match(shown, /Result {6}: whole\n/);
  const report = await at.json('audit verify');
  assert.equal(report.covered, report.last.seq - 1);
  assert.equal(report.checkpoints, report.verified);
});

test('a copy is verified without a server, and a changed one fails with its first broken place', async () => {
  const { bundle } = await copyAway();
  assert.match(await at.good(`audit verify -dir ${copy} -bundle ${bundle}`), /Result {6}: whole/);
  await at.fails(`audit verify -dir ${copy}`, 2, /-dir needs -bundle/);
  await at.fails(`audit verify -dir ${copy}/none -bundle ${bundle}`, 1, /cannot read .*none/);
  const [segment = ''] = (await readdir(copy)).filter((name) => name.endsWith('.jsonl'));
  const path = join(copy, segment);
  const text = await readFile(path, 'utf8');
  await writeFile(path, text.replace('"name":"web-2"', '"name":"web-3"'));
  const verified = await at.plain(`audit verify -dir ${copy} -bundle ${bundle}`);
  assert.equal(verified.code, 1);
  assert.match(
    verified.stdout,
    /Result +: record_line_invalid: 0{15}1\.jsonl, byte \d+, line \d+: a line of the record does not have the hash that it names/,
  );
});

test('a checkpoint that was kept elsewhere shows that the end of a copy is missing', async () => {
  const { bundle } = await copyAway();
  const checkpoints = await listed('-name checkpoint -limit 0');
  const jws = (index: number) => checkpoints.at(index)?.fields[0]?.values[0] ?? '';
  await at.good(`audit verify -dir ${copy} -bundle ${bundle} -checkpoint ${jws(-1)}`);
  const [segment = ''] = (await readdir(copy)).filter((name) => name.endsWith('.jsonl'));
  const lines = (await readFile(join(copy, segment), 'utf8')).split('\n');
  const first = Number(checkpoints[0]?.seq);
  await writeFile(join(copy, segment), `${lines.slice(0, first).join('\n')}\n`);
  await at.good(`audit verify -dir ${copy} -bundle ${bundle}`);
  const kept = join(copy, 'kept.jws');
  await writeFile(kept, `${jws(-1)}\n`);
  await at.fails(
    `audit verify -dir ${copy} -bundle ${bundle} -checkpoint ${kept}`,
    1,
    /the record ends at line \d+, and line \d+ is known to have been written/,
  );
});
