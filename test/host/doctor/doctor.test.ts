import assert from 'node:assert/strict';
import { appendFile, chmod, mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { examineAgentFiles } from '../../../src/host/doctor/agent-files.js';
import { examineBoot } from '../../../src/host/doctor/boot.js';
import { examineHost } from '../../../src/host/doctor/examine.js';
import { type DoctorFinding, type FindingCode, findingTable } from '../../../src/host/doctor/findings.js';
import { examineIma } from '../../../src/host/doctor/ima.js';
import { examineMachine } from '../../../src/host/doctor/machine.js';
import { examineSecureBoot } from '../../../src/host/doctor/secure-boot.js';
import { examineServer } from '../../../src/host/doctor/server-reach.js';
import type { Machine, Subject } from '../../../src/host/doctor/subject.js';
import { examineTpmAccess } from '../../../src/host/doctor/tpm-access.js';
import { examineChip } from '../../../src/host/doctor/tpm-chip.js';
import { bootEvents } from '../../../src/host/swtpm/boot-events.js';
import { imaRecord, imaSigData, userspaceRecord, writeBootLog } from '../../../src/host/swtpm/log-writer.js';
import type { TpmDevice } from '../../../src/host/tpm.js';
import { digest } from '../../../src/tpm/algorithms.js';
import { genuine } from '../../fakes/chip-world.js';
import { createSoftwareTpm } from '../../fakes/software-tpm.js';

const now = Date.UTC(2026, 6, 1);
const global = '8be4df61-93ca-11d2-aa0d-00e098032b8c';

/** A host in a directory: everything there and in order, for a test to spoil. */
async function lay(t: TestContext, machine: Partial<Machine> = {}, change: Partial<Subject> = {}) {
  const root = await mkdtemp(join(tmpdir(), 'tm-doctor-'));
  t.after(() => rm(root, { recursive: true, force: true }));
  const at = (...parts: string[]) => join(root, ...parts);
  for (const path of ['proc', 'sys/firmware/efi/efivars', 'sys/class/tpm/tpm0', 'sec/tpm0', 'sec/ima', 'run'])
    await mkdir(at(path), { recursive: true });
  await mkdir(at('data'), { mode: 0o700 });
  await chmod(root, 0o755);
  await writeFile(at('proc', 'cmdline'), 'root=/dev/sda ima_policy=tcb quiet\n');
  await writeFile(at('proc', 'uptime'), '7200.00 1.00\n');
  await writeFile(at('group'), 'root:x:0:\ntss:x:59:alice,touchmark-agent\n');
  await writeFile(at('synchronized'), '');
  const secureBoot = (name: string, value: number) =>
    writeFile(at('sys', 'firmware', 'efi', 'efivars', `${name}-${global}`), Buffer.from([6, 0, 0, 0, value]));
  await secureBoot('SecureBoot', 1);
  await secureBoot('SetupMode', 0);
  await utimes(at('data'), new Date(now - 1000), new Date(now - 1000));
  const subject: Subject = {
    tcti: `device:${at('tpmrm0')}`,
    securityfs: at('sec'),
    userspaceLog: at('run', 'tpm2-measure.log'),
    dataDir: at('data'),
    socketPath: at('run', 'api.sock'),
    machine: {
      ...{ proc: at('proc'), sys: at('sys'), groupFile: at('group'), timesyncMark: at('synchronized') },
      ...{ kernelRelease: '6.1.0-28-amd64', root: true, now, ...machine },
    },
    ...change,
  };
  return { at, subject, secureBoot };
}

function codes(findings: readonly DoctorFinding[]): FindingCode[] {
  return findings.map(({ code }) => code);
}

function messageOf(findings: readonly DoctorFinding[], code: FindingCode): string {
  return (
    findings.find((one) => one.code === code)?.message ?? `no ${code} among ${codes(findings).join(' ')}`
  );
}

test('every finding that is not good says what to do, or is a mere note', () => {
  for (const [code, { level, remedy }] of Object.entries(findingTable)) {
    if (level === 'warning' || level === 'error') assert.match(remedy, /^[A-Z].*\.$/, code);
    if (level === 'ok') assert.equal(remedy, '', code);
  }
});

test('a machine in order is good, and an old kernel, a wrong clock and a missing time service are told', async (t) => {
  const { at, subject } = await lay(t);
  assert.deepEqual(codes(await examineMachine(subject)), ['kernel', 'clock_good']);
  const machine = {
    ...subject.machine,
    kernelRelease: '5.4.0',
    root: false,
    now: 0,
    timesyncMark: at('none'),
  };
  const findings = await examineMachine({ ...subject, machine });
  assert.deepEqual(codes(findings), ['kernel_old', 'not_root', 'clock_wrong', 'clock_not_synchronised']);
  assert.equal(messageOf(findings, 'clock_wrong'), 'the clock shows 1970-01-01T00:00:00.000Z');
  await utimes(at('data'), new Date(now), new Date(now + 600_000));
  assert.match(
    messageOf(await examineMachine(subject), 'clock_behind'),
    /was written at 2026-07-01T00:10:00/,
  );
});

test('the chip’s device is found with everybody who may open it', async (t) => {
  const { at, subject } = await lay(t);
  assert.deepEqual(codes(await examineTpmAccess(subject)), ['tpm_missing']);
  await writeFile(at('sys', 'class', 'tpm', 'tpm0', 'tpm_version_major'), '1\n');
  assert.deepEqual(codes(await examineTpmAccess(subject)), ['tpm_version_1']);
  await writeFile(at('tpmrm0'), '');
  await chmod(at('tpmrm0'), 0o660);
  const gid = process.getegid?.() ?? 0;
  await appendFile(at('group'), `makers:x:${gid === 0 ? 1_000_000 : gid}:bob\n`);
  const findings = await examineTpmAccess(subject);
  assert.deepEqual(codes(findings), ['tpm_device', 'tpm_access']);
  assert.match(messageOf(findings, 'tpm_device'), /mode 0660$/);
  await chmod(at('tpmrm0'), 0o666);
  assert.deepEqual(codes(await examineTpmAccess(subject)), ['tpm_device', 'tpm_open_to_all', 'tpm_access']);
  assert.deepEqual(codes(await examineTpmAccess({ ...subject, tcti: 'mssim' })), ['tpm_not_seen']);
});

test('members of the chip’s group are named', {
  skip: process.getegid?.() !== 0 && 'files must belong to group 0',
}, async (t) => {
  const { at, subject } = await lay(t);
  await writeFile(at('group'), 'root:x:0:carol,dave\n');
  await writeFile(at('tpmrm0'), '', { mode: 0o660 });
  await chmod(at('tpmrm0'), 0o660);
  assert.match(messageOf(await examineTpmAccess(subject), 'tpm_access'), /carol, dave \(by group \w+\)/);
});

test('a genuine chip is described, certified and quotes', async (t) => {
  const { subject } = await lay(t);
  const findings = await examineChip(subject, genuine());
  assert.deepEqual(codes(findings).slice(0, 3), ['tpm_chip', 'tpm_bank', 'ek_certificate']);
  assert.equal(findings.at(-1)?.code, 'tpm_quotes');
  assert.deepEqual(await examineChip(subject, undefined), []);
});

test('a chip without certificate or SHA-256, in lockout, full of objects, or refusing, is told', async (t) => {
  const { subject } = await lay(t);
  const chip = createSoftwareTpm({ banks: ['sha1'] });
  const facts = await chip.describe();
  const loadedHandles = { ...facts.loadedHandles, transient: 3 };
  const odd: TpmDevice = { ...chip, describe: async () => ({ ...facts, lockoutCounter: 4, loadedHandles }) };
  const findings = await examineChip(subject, odd);
  const expected = [
    'tpm_chip',
    'tpm_bank_missing',
    'tpm_lockout',
    'tpm_handles_left',
    'ek_certificate_missing',
  ];
  assert.deepEqual(codes(findings).slice(0, 5), expected);
  assert.match(messageOf(findings, 'tpm_lockout'), /^4 failed authorisations/);
  const refusing: TpmDevice = { ...chip, endorsementKeys: () => Promise.reject(new Error('auth needed')) };
  assert.equal(messageOf(await examineChip(subject, refusing), 'tpm_key_failed'), 'auth needed');
});

/** Logs as the measured host writes them, and a chip that was told the same. */
async function booted(t: TestContext) {
  const laid = await lay(t);
  const tpm = createSoftwareTpm({ banks: ['sha1', 'sha256'] });
  const banks = ['sha1', 'sha256'] as const;
  const events = bootEvents();
  await writeFile(laid.at('sec', 'tpm0', 'binary_bios_measurements'), writeBootLog(events, banks));
  for (const { pcr, measured } of events)
    for (const bank of banks) tpm.extend(bank, pcr, digest(bank, measured));
  const measureText = async (text: string) => {
    await appendFile(
      laid.subject.userspaceLog,
      userspaceRecord({ pcr: 11, text, eventType: 'phase' }, banks),
    );
    for (const bank of banks) tpm.extend(bank, 11, digest(bank, Buffer.from(text)));
  };
  const measureFile = async (path: string, violation = false) => {
    const data = imaSigData(path, digest('sha256', Buffer.from(path)));
    await appendFile(
      laid.at('sec', 'ima', 'binary_runtime_measurements'),
      imaRecord('ima-sig', data, violation),
    );
    for (const bank of banks)
      tpm.extend(bank, 10, violation ? digest(bank, data).fill(0xff) : digest(bank, data));
  };
  return { ...laid, tpm, measureText, measureFile };
}

test('logs that explain every register are good, also without a chip to compare with', async (t) => {
  const { subject, tpm, measureText } = await booted(t);
  assert.deepEqual(codes(await examineBoot(subject, undefined)), ['boot_log', 'userspace_log_absent']);
  await measureText('ready');
  const findings = await examineBoot(subject, tpm);
  assert.deepEqual(codes(findings), ['boot_log', 'userspace_log', 'boot_log', 'boot_log']);
  assert.match(findings[3]?.message ?? '', /^sha256: PCR 0, 1, .* 15 hold what the logs say$/);
});

test('registers that no log explains are told one by one', async (t) => {
  const { subject, tpm, measureText } = await booted(t);
  await measureText('ready');
  for (const pcr of [2, 7, 11, 15]) tpm.extend('sha256', pcr, Buffer.alloc(32, 1));
  const findings = await examineBoot(subject, tpm);
  assert.match(
    messageOf(findings, 'boot_log_mismatch'),
    /^sha256: PCR 2, 7 hold something else than the log/,
  );
  assert.match(messageOf(findings, 'userspace_unexplained'), /^sha256: PCR 11, 15 hold/);
  assert.ok(findings.some(({ message }) => /^sha1: PCR 0, 1, 2, /.test(message)));
});

test('logs that are damaged, odd or of another bank are told', async (t) => {
  const { at, subject, tpm } = await booted(t);
  const path = at('sec', 'tpm0', 'binary_bios_measurements');
  await writeFile(path, writeBootLog(bootEvents(), ['sha256']));
  assert.match(
    messageOf(await examineBoot(subject, tpm), 'boot_log_bank_missing'),
    /^bank sha1 is allocated/,
  );
  await writeFile(
    path,
    writeBootLog(
      bootEvents().filter(({ type }) => type !== 4),
      ['sha256'],
    ),
  );
  assert.match(messageOf(await examineBoot(subject, tpm), 'boot_log_remark'), /\(separator_missing\)$/);
  await writeFile(path, Buffer.alloc(20, 1));
  await writeFile(subject.userspaceLog, 'no record');
  const findings = await examineBoot(subject, tpm);
  assert.deepEqual(codes(findings), ['boot_log_invalid', 'userspace_log_invalid']);
  await rm(path);
  assert.equal((await examineBoot(subject, tpm))[0]?.code, 'boot_log_absent');
  await mkdir(path);
  assert.equal((await examineBoot(subject, tpm))[0]?.code, 'boot_log_unreadable');
});

test('a list of IMA that leads to PCR 10 is good', async (t) => {
  const { subject, tpm, measureFile } = await booted(t);
  await measureFile('boot_aggregate');
  await measureFile('/usr/bin/first');
  await measureFile('/var/log/second', true);
  const findings = await examineIma(subject, tpm);
  assert.deepEqual(codes(findings), ['ima', 'ima', 'ima_aggregate_mismatch', 'ima_rules', 'ima_violations']);
  assert.match(findings[0]?.message ?? '', /^IMA has measured 3 entries, template ima-sig$/);
  assert.match(findings[1]?.message ?? '', /^PCR 10 of sha256 holds the first 3 of 3$/);
  assert.equal(messageOf(findings, 'ima_rules'), 'the kernel command line says ima_policy=tcb');
});

test('what is wrong with a list of IMA is told', async (t) => {
  const { at, subject, tpm, measureFile } = await booted(t);
  const list = at('sec', 'ima', 'binary_runtime_measurements');
  assert.deepEqual(codes(await examineIma(subject, tpm)), ['ima_off']);
  await writeFile(at('proc', 'cmdline'), 'quiet\n');
  await measureFile('boot_aggregate');
  assert.ok(codes(await examineIma(subject, tpm)).includes('ima_no_rules'));
  await measureFile('/usr/bin/first');
  assert.ok(codes(await examineIma(subject, tpm)).includes('ima_rules_unknown'));
  await measureFile('/etc/ima/ima-policy');
  assert.match(messageOf(await examineIma(subject, tpm), 'ima_rules'), /^the policy file that was loaded/);
  await writeFile(at('proc', 'uptime'), '3600.0 1.0\n');
  for (let file = 0; file < 20_000; file += 2_000) {
    const records = Array.from({ length: 2_000 }, (_, at) =>
      imaRecord('ima-sig', imaSigData(`/tmp/${file + at}`, Buffer.alloc(32))),
    );
    await appendFile(list, Buffer.concat(records));
  }
  const grown = await examineIma(subject, tpm);
  assert.equal(messageOf(grown, 'ima_growing'), 'the list grows by 20003 entries an hour');
  tpm.extend('sha256', 10, Buffer.alloc(32, 1));
  assert.ok(codes(await examineIma(subject, tpm)).includes('ima_mismatch'));
  await appendFile(list, Buffer.from([10, 0, 0]));
  assert.match(messageOf(await examineIma(subject, tpm), 'ima_invalid'), /cut off/);
  await rm(list);
  await mkdir(list);
  assert.deepEqual(codes(await examineIma(subject, tpm)), ['ima_unreadable']);
});

test('a kernel that pads SHA-1 digests is recognised', async (t) => {
  const { at, subject } = await lay(t);
  const tpm = createSoftwareTpm();
  const data = imaSigData('boot_aggregate', Buffer.alloc(32));
  await writeFile(at('sec', 'ima', 'binary_runtime_measurements'), imaRecord('ima-sig', data));
  tpm.extend('sha256', 10, Buffer.concat([digest('sha1', data), Buffer.alloc(12)]));
  assert.ok(codes(await examineIma(subject, tpm)).includes('ima_padded_sha1'));
});

test('Secure Boot is on, off, in setup mode, or not to be known', async (t) => {
  const { at, subject, secureBoot } = await lay(t);
  const code = async () => codes(await examineSecureBoot(subject))[0];
  assert.equal(await code(), 'secure_boot_on');
  await secureBoot('SecureBoot', 0);
  assert.equal(await code(), 'secure_boot_off');
  await secureBoot('SetupMode', 1);
  assert.equal(await code(), 'secure_boot_setup_mode');
  await writeFile(at('sys', 'firmware', 'efi', 'efivars', `SecureBoot-${global}`), '');
  assert.equal(await code(), 'secure_boot_unknown');
  await rm(at('sys', 'firmware'), { recursive: true });
  assert.equal(await code(), 'secure_boot_unknown');
});

test('the agent’s directory is closed, and its socket open to everybody', async (t) => {
  const { at, subject } = await lay(t);
  const look = async () => codes(await examineAgentFiles(subject));
  assert.deepEqual(await look(), ['data_dir', 'socket_missing']);
  await writeFile(subject.socketPath, '');
  await chmod(subject.socketPath, 0o600);
  await chmod(subject.dataDir, 0o750);
  assert.deepEqual(await look(), ['data_dir_open', 'socket_closed']);
  await chmod(subject.socketPath, 0o666);
  await rm(subject.dataDir, { recursive: true });
  assert.deepEqual(await look(), ['data_dir_missing', 'socket']);
  await chmod(at('run'), 0o700);
  const findings = await examineAgentFiles(subject);
  assert.equal(
    messageOf(findings, 'socket_closed'),
    `${at('run')}, above the socket, does not let every user pass`,
  );
});

test('a server that listens is reachable, another is not', async (t) => {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  const { subject } = await lay(t);
  const look = () => examineServer({ ...subject, server: { address: '127.0.0.1', port } });
  assert.deepEqual(codes(await look()), ['server']);
  await new Promise((resolve) => server.close(resolve));
  assert.match(messageOf(await look(), 'server_unreachable'), /does not answer: connect ECONNREFUSED/);
  assert.deepEqual(await examineServer(subject), []);
});

test('a host without a TPM is examined as far as it goes', async (t) => {
  const { subject } = await lay(t);
  const findings = await examineHost(subject);
  assert.deepEqual(codes(findings), [
    ...['tpm_missing', 'boot_log_absent', 'userspace_log_absent', 'ima_off', 'secure_boot_on'],
    ...['kernel', 'clock_good', 'data_dir', 'socket_missing'],
  ] as FindingCode[]);
  const [missing] = findings;
  assert.equal(missing?.remedy, 'Enable the TPM in the firmware setup, and load its kernel driver.');
});

test('who may not look is told what was not seen', async (t) => {
  const { at, subject } = await lay(t);
  const log = at('sec', 'tpm0', 'binary_bios_measurements');
  await writeFile(log, 'x', { mode: 0 });
  await chmod(at('sys', 'firmware', 'efi', 'efivars', `SecureBoot-${global}`), 0);
  await chmod(at('data'), 0);
  const root = process.geteuid?.() === 0;
  if (root) process.seteuid?.(65_534);
  try {
    const seen = [...(await examineBoot(subject, undefined)), ...(await examineSecureBoot(subject))];
    assert.deepEqual(codes(seen), ['not_seen', 'userspace_log_absent', 'not_seen']);
    assert.equal(seen[0]?.message, `${log} is not readable here, so it was not looked at`);
  } finally {
    if (root) process.seteuid?.(0);
  }
});

test('a part of the examination that fails does not stop the others', async (t) => {
  const { subject } = await lay(t);
  const endless = `${subject.dataDir}/${'x'.repeat(300)}`;
  const findings = await examineHost({ ...subject, dataDir: endless });
  assert.match(messageOf(findings, 'examination_failed'), /ENAMETOOLONG/);
  assert.ok(codes(findings).includes('secure_boot_on'));
});
