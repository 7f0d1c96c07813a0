import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { program } from '../../../src/cli/touchmark/program.js';
import { eventType } from '../../../src/measure/boot/event-types.js';
import { agileLog, separators, sha1Log } from '../../support/boot-log-factory.js';
import { record, userspaceLog } from '../../support/userspace-log-factory.js';
import { haveVectors, readVector, vectorsDirectory } from '../../support/vectors.js';
import { type } from '../type.js';

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tm-logs-'));
});
after(() => rm(directory, { recursive: true }));

const inspect = (...words: string[]) => type(program, ['inspect', ...words]);
async function file(name: string, bytes: Uint8Array): Promise<string> {
  const path = join(directory, name);
  await writeFile(path, bytes);
  return path;
}

test('inspect boot-log: JSON has the format, events, PCRs and findings, and nothing else', async (t) => {
  if (!haveVectors(t)) return;
  const path = join(vectorsDirectory(), 'eventlog/glinux_locality3.bin');
  const { code, stdout } = await inspect('boot-log', path, '-output', 'json');
  const expected = JSON.parse(readVector('expected.json').toString())['eventlog/glinux_locality3.bin'];
  assert.equal(code, 0);
  assert.deepEqual(JSON.parse(stdout), {
    format: 'crypto-agile',
    events: expected.events,
    pcrs: expected.pcrs,
    findings: [],
  });
});

test('inspect boot-log: findings are shown with their event, and are no failure', async () => {
  const event = { pcr: 0, type: eventType.crtmVersion, data: 'v1', measured: 'v2' };
  const path = await file('odd', agileLog([event, ...separators('00000000', [0, 1, 2, 3, 4, 5, 6])]));
  const json = await inspect('boot-log', path, '-output', 'json');
  assert.equal(json.code, 0);
  assert.deepEqual(JSON.parse(json.stdout).findings, [
    { code: 'separator_missing', event: null, message: 'PCR 7 has no separator' },
    {
      code: 'digest_mismatch',
      event: 0,
      message: 'event 0 in PCR 0 (EV_S_CRTM_VERSION) has data that does not hash to its sha1, sha256 digest',
    },
  ]);
  const { stdout } = await inspect('boot-log', path);
  assert.match(stdout, /^Format {3}: crypto-agile\nEvents {3}: 8\nFindings : 2\n\nBANK +PCR +VALUE\n/);
  assert.match(stdout, /\n-\s+separator_missing .*\n0\s+digest_mismatch /);
});

test('inspect boot-log: of a hundred thousand findings the first are shown, and the others counted', async () => {
  const bad = { pcr: 0, type: eventType.separator, data: '' };
  const path = await file('hostile', sha1Log(Array(65_000).fill(bad)));
  const json = await inspect('boot-log', path, '-output', 'json');
  assert.equal(json.code, 0);
  const { events, findings } = JSON.parse(json.stdout);
  assert.deepEqual([events, findings.length], [65_000, 1000]);
  // Each has a wrong value, and all but one are repeated; PCR 1 to 7 have none.
  assert.equal(json.stderr, `${2 * 65_000 - 1 + 7 - 1000} more findings are not shown\n`);
  const pretty = await inspect('boot-log', path);
  assert.equal(pretty.code, 0);
  assert.match(pretty.stdout, /\nFindings : 1000\n/);
  assert.equal(pretty.stderr, json.stderr);
});

test('inspect boot-log: a file that cannot be a boot log ends with 1 and says why', async () => {
  const bogus = await inspect('boot-log', await file('bogus', Buffer.from('hello')));
  assert.equal(bogus.code, 1);
  assert.match(bogus.stderr, /the boot log is cut off: 4 bytes wanted at offset 4 of 5/);
  const missing = await inspect('boot-log', join(directory, 'none'));
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, /cannot read .*none/);
});

test('inspect userspace-log: replays from zero, or from where the boot log ends', async () => {
  const path = await file('tpm2-measure.log', userspaceLog(record(11, 'enter-initrd')));
  const alone = JSON.parse((await inspect('userspace-log', path, '-output', 'json')).stdout);
  assert.deepEqual(Object.keys(alone), ['format', 'events', 'pcrs', 'findings']);
  assert.deepEqual([alone.format, alone.events, alone.findings], ['cel-json', 1, []]);
  assert.deepEqual(Object.keys(alone.pcrs.sha256), ['11']);
  const stub = { pcr: 11, type: eventType.ipl, data: '.linux' };
  const boot = await file('bios.bin', agileLog([stub, ...separators()]));
  const after = await inspect('userspace-log', path, '-bootLog', boot, '-output', 'json');
  assert.equal(after.code, 0);
  assert.notEqual(JSON.parse(after.stdout).pcrs.sha256['11'], alone.pcrs.sha256['11']);
});

test('inspect userspace-log: what is shown of very many findings is bounded', async () => {
  const records = Array(5000).fill({ ...record(7, 'x'), content: { string: 'x' } });
  const { code, stdout, stderr } = await inspect(
    'userspace-log',
    await file('many', userspaceLog(...records)),
  );
  assert.equal(code, 0);
  assert.match(stdout, /\nFindings : 1000\n/);
  assert.equal(stderr, '4000 more findings are not shown\n');
});

test('inspect userspace-log: a file that cannot be one ends with 1 and says why', async () => {
  const { code, stderr } = await inspect('userspace-log', await file('no', Buffer.from('hello')));
  assert.equal(code, 1);
  assert.match(stderr, /record 0 of the userspace log does not begin with the byte 1e/);
});
