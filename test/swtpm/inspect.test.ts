import assert from 'node:assert/strict';
import { test } from 'node:test';
import { program } from '../../src/cli/touchmark/program.js';
import { type } from '../cli/type.js';
import { haveSwtpm, startCopy } from '../support/swtpm.js';

test('inspect tpm tells the banks, keys, certificates and handles of a chip, and leaves nothing in it', async (t) => {
  if (!(await haveSwtpm(t))) return;
  await using chip = await startCopy();
  for (const round of [1, 2]) {
    const words = ['inspect', 'tpm', '-tcti', chip.tcti, '-output', 'json'];
    const { code, stdout, stderr } = await type(program, words);
    assert.equal(code, 0, stderr);
    const facts = JSON.parse(stdout);
    assert.equal(facts.manufacturer, 'IBM');
    assert.deepEqual(
      facts.banks.map((row: { bank: string; pcrs: number[] }) => [row.bank, row.pcrs.length]),
      [
        ['sha1', 24],
        ['sha256', 24],
      ],
    );
    assert.equal(facts.loadedHandles.transient, 0, `round ${round}`);
    assert.equal(facts.loadedHandles.loadedSessions, 0);
    const keys: { template: string; ekHash: string; certificate: string }[] = facts.endorsementKeys;
    assert.deepEqual(keys.map(({ template }) => template).sort(), ['p384-h3', 'rsa2048-l1']);
    for (const { ekHash, certificate } of keys) {
      assert.match(ekHash, /^[0-9a-f]{64}$/);
      assert.match(certificate, /^certified by id:00001014, model swtpm/);
    }
  }
  const pretty = await type(program, ['inspect', 'tpm', '-tcti', chip.tcti]);
  assert.match(pretty.stdout, /Banks +: sha1 \(24 PCRs\), sha256 \(24 PCRs\)\n/);
});

test('inspect tpm says what to do when there is no chip', async (t) => {
  if (!(await haveSwtpm(t))) return;
  const { code, stderr } = await type(program, [
    'inspect',
    'tpm',
    '-tcti',
    'swtpm:path=/nonexistent/tpm.sock',
  ]);
  assert.equal(code, 1);
  assert.match(stderr, /^touchmark inspect tpm: .*\n.+\n$/);
});
