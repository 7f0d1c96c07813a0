import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { program } from '../../../src/cli/touchmark/program.js';
import { imaList, record, sigData } from '../../support/ima-list.js';
import { haveVectors, readVector, vectorsDirectory } from '../../support/vectors.js';
import { type } from '../type.js';

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tm-ima-'));
});
after(() => rm(directory, { recursive: true }));

const inspect = (...words: string[]) => type(program, ['inspect', 'ima-log', ...words]);
const vector = (name: string) => join(vectorsDirectory(), name);
async function file(name: string, bytes: Uint8Array | string): Promise<string> {
  await writeFile(join(directory, name), bytes);
  return join(directory, name);
}

test('a real list: values of its PCRs, violations as findings, exit 0', async (t) => {
  if (!haveVectors(t)) return;
  const { code, stdout } = await inspect(vector('generated/vm/ima_2.bin'), '-output', 'json');
  const report = JSON.parse(stdout);
  assert.equal(code, 0);
  assert.deepEqual(Object.keys(report), ['format', 'events', 'pcrs', 'findings']);
  assert.deepEqual([report.format, report.events], ['ima-binary', 137]);
  assert.deepEqual(Object.keys(report.pcrs.sha256), ['10']);
  assert.deepEqual(
    report.findings.map((row: { code: string; event: number }) => [row.code, row.event]),
    [
      ['ima_violation', 124],
      ['ima_violation', 126],
    ],
  );
});

test('a list that contradicts itself ends with 1 and says where', async (t) => {
  if (!haveVectors(t)) return;
  const name = 'generated/attack/ima_path_relabelled.ascii';
  const expected = JSON.parse(readVector('expected.json').toString())[name];
  const { code, stdout } = await inspect(vector(name), '-output', 'json');
  const report = JSON.parse(stdout);
  assert.equal(code, 1);
  assert.equal(report.format, 'ima-ascii');
  assert.deepEqual(
    [report.pcrs.sha256['10'], report.pcrs.sha1['10']],
    [expected.pcr10_sha256, expected.pcr10_sha1],
  );
  assert.deepEqual([report.findings[0].code, report.findings[0].event], ['ima_template_digest_mismatch', 6]);
});

test('what cannot be a list is refused by name', async (t) => {
  assert.match((await inspect(await file('empty', ''))).stderr, /empty is empty/);
  assert.match((await inspect('/nonexistent')).stderr, /cannot read \/nonexistent: ENOENT/);
  assert.match((await inspect(await file('noise', 'hello, world, this is no list\n'))).stderr, /names PCR/);
  assert.equal((await inspect()).code, 2);
  if (!haveVectors(t)) return;
  for (const [name, message] of [
    ['ima_truncated.bin', /cut off in entry 137/],
    ['ima_huge_template_len.bin', /2147483647 bytes/],
  ] as const) {
    const { code, stderr } = await inspect(vector(`generated/attack/${name}`));
    assert.equal(code, 1, name);
    assert.match(stderr, message, name);
  }
});

test('the table for people; a hostile path stays on its line', async () => {
  const hostile = record('ima-sig', sigData('/x\n\u001b[2Jy'), { digest: Buffer.alloc(20, 1) });
  const { code, stdout } = await inspect(await file('hostile', Buffer.concat([imaList(3), hostile])));
  assert.equal(code, 1);
  assert.match(
    stdout,
    /^Format {3}: ima-binary\nEvents {3}: 4\nFindings : 1\n\nBANK +PCR +VALUE\nsha256 +10 +[0-9a-f]{64}\n/,
  );
  assert.match(stdout, /4 +ima_template_digest_mismatch +entry "\/x\\\\x0a\\\\x1b\[2Jy" is not/);
});

test('a list over several chunks is read whole; findings are bounded', async () => {
  const odd = record('ima-sig', sigData('/b'), { pcr: 11 });
  const path = await file('long', Buffer.concat([imaList(3000), ...Array(1200).fill(odd)]));
  const { code, stdout, stderr } = await inspect(path, '-output', 'json');
  const report = JSON.parse(stdout);
  assert.deepEqual([code, report.events, report.findings.length], [0, 4200, 1000]);
  assert.deepEqual(Object.keys(report.pcrs.sha256), ['10', '11']);
  assert.match(stderr, /200 more findings are not shown/);
});
