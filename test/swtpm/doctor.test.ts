import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { program } from '../../src/cli/agent/program.js';
import { extendPcr } from '../../src/host/swtpm/pcr-extend.js';
import { type } from '../cli/type.js';
import { startFakeHost } from '../support/fake-host.js';
import { haveSwtpm, startDistinct } from '../support/swtpm.js';

interface Answer {
  readonly findings: { readonly level: string; readonly code: string; readonly message: string }[];
}

test('doctor finds a measured host in order, and names what is spoilt', async (t) => {
  if (!(await haveSwtpm(t))) return;
  const { chip, host, measurement } = await startFakeHost(t);
  await host.extendFile('/usr/bin/touchmark-agent', 'agent');
  const file = join(chip.directory, 'agent.toml');
  const quoted = JSON.stringify;
  await writeFile(
    file,
    `trust_domain = "example.org"
server_address = "127.0.0.1"
server_port = 1
data_dir = ${quoted(join(chip.directory, 'data'))}
socket_path = ${quoted(join(chip.directory, 'api.sock'))}
[attestation]
tcti = ${quoted(chip.tcti)}
[measurement]
securityfs = ${quoted(measurement.securityfs)}
userspace_log = ${quoted(measurement.userspaceLog)}
`,
  );
  const look = async () => {
    const { stdout, code } = await type(program, ['doctor', '-config', file, '-output', 'json']);
    const { findings } = JSON.parse(stdout) as Answer;
    return { code, findings, of: (name: string) => findings.filter((one) => one.code === name) };
  };
  const good = await look();
  // Nobody listens there; everything else is as it shall be.
  const errors = good.findings.filter(({ level }) => level === 'error');
  assert.deepEqual(
    errors.map(({ code }) => code),
    ['server_unreachable'],
  );
  assert.match(good.of('tpm_chip')[0]?.message ?? '', /^a TPM 2\.0 by IBM/);
  assert.deepEqual(
    good
      .of('ek_certificate')
      .map(({ message }) => /^the certificate of the (\S+) key [0-9a-f]{64} names/.exec(message)?.[1]),
    ['rsa2048-l1', 'p384-h3'],
  );
  assert.match(good.of('tpm_quotes')[0]?.message ?? '', /quotes in \d+ ms$/);
  assert.match(
    good.of('boot_log')[2]?.message ?? '',
    /^sha256: PCR 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, .* hold what/,
  );
  assert.equal(good.of('ima')[1]?.message, 'PCR 10 of sha256 holds the first 2 of 2');
  assert.equal(good.of('ima_aggregate')[0]?.message, 'boot_aggregate is of PCR 0-9');
  assert.equal(good.code, 1);

  const bootLog = await readFile(host.bootLogPath);
  await writeFile(host.bootLogPath, bootLog.subarray(0, bootLog.length - 10));
  assert.match((await look()).of('boot_log_invalid')[0]?.message ?? '', /boot log/);
  await writeFile(host.bootLogPath, bootLog);
  await extendPcr(chip.tcti, 4, new Map([['sha256', Buffer.alloc(32, 1)]]));
  assert.match((await look()).of('boot_log_mismatch')[0]?.message ?? '', /^sha256: PCR 4 hold/);
  process.kill(chip.pid, 'SIGKILL');
  const gone = await look();
  assert.match(gone.of('tpm_unreachable')[0]?.message ?? '', /^the TPM at swtpm:path=.* does not open: /);
  assert.deepEqual([gone.of('tpm_chip'), gone.of('ima').length], [[], 1]);
});

test('doctor tells of a chip without certificates, and shows its findings in text', async (t) => {
  if (!(await haveSwtpm(t))) return;
  await using chip = await startDistinct({ certificates: false });
  const none = join(chip.directory, 'none.toml');
  const { stdout, code } = await type(program, ['doctor', '-config', none, '-tcti', chip.tcti]);
  assert.match(stdout, /^WARNING {2}the chip holds no certificate for its rsa2048-l1 key [0-9a-f]{64}$/m);
  assert.match(stdout, /^ok {7}the chip makes an attestation key and quotes in \d+ ms$/m);
  assert.ok(code === 0 || code === 1);
});
