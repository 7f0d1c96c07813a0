import assert from 'node:assert/strict';
import { appendFile, chmod, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import test from 'node:test';
import { examineAgentFiles } from '../../../src/host/doctor/agent-files.js';
import { examineBoot } from '../../../src/host/doctor/boot.js';
import { examineHost } from '../../../src/host/doctor/examine.js';
import { type FindingCode, findingTable } from '../../../src/host/doctor/findings.js';
import { examineMachine } from '../../../src/host/doctor/machine.js';
import { examineSecureBoot } from '../../../src/host/doctor/secure-boot.js';
import { examineServer } from '../../../src/host/doctor/server-reach.js';
import { examineTpmAccess } from '../../../src/host/doctor/tpm-access.js';
import { examineChip } from '../../../src/host/doctor/tpm-chip.js';
import type { TpmDevice } from '../../../src/host/tpm.js';
import { genuine } from '../../fakes/chip-world.js';
import { createSoftwareTpm } from '../../fakes/software-tpm.js';
import { codes, global, lay, messageOf, now } from './lay.js';

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
  const kept = { ...subject, machine: { ...machine, clockSynchronised: true } };
  assert.ok(!codes(await examineMachine(kept)).includes('clock_not_synchronised'), 'chrony leaves no mark');
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
  await appendFile(at('passwd'), 'carol:x:7:7::/:/bin/sh\ndave:x:8:8::/:/bin/sh\nerin:x:9:0::/:/bin/sh\n');
  assert.match(
    messageOf(await examineTpmAccess(subject), 'tpm_access'),
    /carol, dave, erin \(by group \w+\)/,
    'erin is in it by her primary group',
  );
});

test('an agent whose user may not open the chip, or does not own its directory, is told so', async (t) => {
  const { at, subject } = await lay(t);
  await writeFile(at('tpmrm0'), '');
  await chmod(at('tpmrm0'), 0o660);
  assert.ok(!codes(await examineTpmAccess(subject)).includes('tpm_agent_denied'), 'there is no such user');
  await appendFile(at('passwd'), 'touchmark-agent:x:4711:4711::/:/usr/sbin/nologin\n');
  assert.equal(
    messageOf(await examineTpmAccess(subject), 'tpm_agent_denied'),
    `the agent's user, touchmark-agent, may not open ${at('tpmrm0')}`,
  );
  // Its unit adds the group tss, whatever the file of groups says of its members.
  const { gid, uid } = await stat(at('tpmrm0'));
  await writeFile(at('group'), `tss:x:${gid}:\n`);
  assert.ok(!codes(await examineTpmAccess(subject)).includes('tpm_agent_denied'));
  assert.equal(
    messageOf(await examineAgentFiles(subject), 'data_dir_owner'),
    `${subject.dataDir} belongs to uid ${uid}, and the agent runs as touchmark-agent`,
  );
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
  const other = createSoftwareTpm({ banks: ['sha384'] });
  assert.match(
    messageOf(await examineChip(subject, other), 'tpm_bank_other'),
    /^allocated are sha384 with 24 PCRs, and servers ask for sha256 by default$/,
  );
  const refusing: TpmDevice = { ...chip, endorsementKeys: () => Promise.reject(new Error('auth needed')) };
  assert.equal(messageOf(await examineChip(subject, refusing), 'tpm_key_failed'), 'auth needed');
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
