import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { hasCode } from '../../src/errors.js';
import { openTpm } from '../../src/host/open-tpm.js';
import { createMeasuredHost, measureFile } from '../../src/host/swtpm/measured-host.js';
import { extendPcr } from '../../src/host/swtpm/pcr-extend.js';
import { silentLogger } from '../../src/log.js';
import { parseBootLog } from '../../src/measure/boot/boot-log.js';
import { replayBootLog } from '../../src/measure/boot/boot-replay.js';
import { matchBootAggregate } from '../../src/measure/ima/boot-aggregate.js';
import { parseImaBinary } from '../../src/measure/ima/ima-binary.js';
import { readImaEntry } from '../../src/measure/ima/ima-entry.js';
import { imaReplay } from '../../src/measure/ima/ima-replay.js';
import { parseUserspaceLog } from '../../src/measure/userspace/userspace-log.js';
import { replayUserspaceLog } from '../../src/measure/userspace/userspace-replay.js';
import { digest } from '../../src/tpm/algorithms.js';
import { haveSwtpm, startCopy } from '../support/swtpm.js';

const allPcrs = Array.from({ length: 16 }, (_, pcr) => pcr);

for (const bank of ['sha1', 'sha256'] as const) {
  test(`the logs of a made host replay to the ${bank} registers of its chip`, async (t) => {
    if (!(await haveSwtpm(t))) return;
    await using chip = await startCopy();
    // Open all the while, as the agent's is.
    await using tpm = await openTpm({ tcti: chip.tcti, log: silentLogger() });
    await using host = await createMeasuredHost({ dir: chip.directory, tcti: chip.tcti });
    await host.extendFile('/usr/bin/first', 'one');
    await host.extendFile('/usr/bin/first', 'one');
    await host.violation('/var/log/second file');
    await host.measureText(15, 'machine-id:4711', 'machine-id');
    const boot = replayBootLog(parseBootLog(await readFile(host.bootLogPath)));
    assert.deepEqual(boot.findings, []);
    const userspace = replayUserspaceLog(parseUserspaceLog(await readFile(host.userspaceLogPath)), boot);
    const ima = imaReplay(bank);
    const records = [...parseImaBinary(await readFile(host.imaListPath))];
    for (const record of records) ima.extend(record);
    assert.equal(records.length, 3);
    assert.equal(host.imaEntries, 3);
    const count = await readFile(join(host.securityfs, 'ima', 'runtime_measurements_count'), 'utf8');
    assert.equal(count, '3\n');
    const entries = records.map((record) => readImaEntry(record));
    assert.deepEqual(
      entries.map(({ path, violation }) => [path?.text, violation]),
      [
        ['boot_aggregate', false],
        ['/usr/bin/first', false],
        ['/var/log/second_file', true],
      ],
    );
    const derived = new Map([
      ...(boot.pcrs.get(bank) ?? []),
      ...(userspace.pcrs.get(bank) ?? []),
      ...ima.values(),
    ]);
    const read = await tpm.pcrRead({ bank, pcrs: allPcrs });
    for (const pcr of allPcrs) {
      const expected = derived.get(pcr) ?? new Uint8Array(bank === 'sha1' ? 20 : 32);
      assert.equal(hex(read.get(pcr)), hex(expected), `PCR ${pcr}`);
    }
    if (bank === 'sha1') return;
    const [aggregate] = entries;
    assert.ok(aggregate?.fileDigest);
    assert.equal(matchBootAggregate(aggregate.fileDigest, bank, read), '0-9');
  });
}

test('a made host without IMA has no list, and one booted otherwise has other registers', async (t) => {
  if (!(await haveSwtpm(t))) return;
  const quoted = async (boot: Parameters<typeof createMeasuredHost>[0]['boot']) => {
    await using chip = await startCopy();
    await using host = await createMeasuredHost({
      ...{ dir: chip.directory, tcti: chip.tcti, ima: false },
      ...(boot === undefined ? {} : { boot }),
    });
    await host.extendFile('/usr/bin/first', 'one');
    await assert.rejects(readFile(host.imaListPath), { code: 'ENOENT' });
    await using tpm = await openTpm({ tcti: chip.tcti, log: silentLogger() });
    return await tpm.pcrRead({ bank: 'sha256', pcrs: allPcrs });
  };
  const differing = (a: Map<number, Uint8Array>, b: Map<number, Uint8Array>) =>
    allPcrs.filter((pcr) => hex(a.get(pcr)) !== hex(b.get(pcr)));
  const usual = await quoted(undefined);
  assert.equal(hex(usual.get(10)), '00'.repeat(32));
  assert.deepEqual(differing(usual, await quoted({})), []);
  assert.deepEqual(differing(usual, await quoted({ secureBoot: false })), [7]);
  assert.deepEqual(differing(usual, await quoted({ addedCommandLine: 'init=/bin/sh' })), [9, 12]);
  assert.deepEqual(differing(usual, await quoted({ image: 'other' })), [4, 7]);
  assert.deepEqual(differing(usual, await quoted({ firmwareVersion: '2' })), [0]);
});

const refused: readonly [what: string, tcti: string, message: RegExp][] = [
  ['a real chip', 'device:/dev/tpmrm0', /"device:\/dev\/tpmrm0" is no socket of a software TPM$/],
  ['a socket that is not there', 'swtpm:path=/tmp/none.sock', /connect ENOENT \/tmp\/none\.sock$/],
];
for (const [what, tcti, message] of refused) {
  test(`${what} is not extended`, async () => {
    await assert.rejects(extendPcr(tcti, 10, new Map()), (error) => {
      assert.ok(hasCode(error, 'swtpm_failed'));
      assert.match(error.message, /^extending a PCR of the software TPM failed: /);
      assert.match(error.message, message);
      return true;
    });
  });
}

test('what the chip refuses is told', async (t) => {
  if (!(await haveSwtpm(t))) return;
  await using chip = await startCopy();
  const digests = new Map([['sha256', new Uint8Array(32)] as const]);
  await assert.rejects(extendPcr(chip.tcti, 24, digests), {
    code: 'swtpm_failed',
    message: /TPM2_PCR_Extend of PCR 24 gave the response code 0x[0-9a-f]+$/,
  });
});

function hex(bytes: Uint8Array | undefined): string {
  return Buffer.from(bytes ?? []).toString('hex');
}

test('another process goes on with the list of a made host', async (t) => {
  if (!(await haveSwtpm(t))) return;
  await using chip = await startCopy();
  const dir = chip.directory;
  {
    await using made = await createMeasuredHost({ dir, tcti: chip.tcti });
    await made.extendFile('/usr/bin/first', 'one');
  }
  await measureFile({ dir, tcti: chip.tcti }, '/usr/bin/second', digest('sha256', Buffer.from('two')));
  await measureFile({ dir, tcti: chip.tcti }, '/usr/bin/second', digest('sha256', Buffer.from('two')));
  const list = join(dir, 'securityfs', 'ima', 'binary_runtime_measurements');
  const ima = imaReplay('sha256');
  const records = [...parseImaBinary(await readFile(list))];
  for (const record of records) ima.extend(record);
  assert.equal(records.length, 3);
  await using tpm = await openTpm({ tcti: chip.tcti, log: silentLogger() });
  const read = await tpm.pcrRead({ bank: 'sha256', pcrs: [10] });
  assert.equal(hex(read.get(10)), hex(ima.value(10)));
  assert.equal(await readFile(join(dir, 'securityfs', 'ima', 'runtime_measurements_count'), 'utf8'), '3\n');
});
