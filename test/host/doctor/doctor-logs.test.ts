import assert from 'node:assert/strict';
import { appendFile, mkdir, rm, writeFile } from 'node:fs/promises';
import test, { type TestContext } from 'node:test';
import { examineBoot } from '../../../src/host/doctor/boot.js';
import { examineIma } from '../../../src/host/doctor/ima.js';
import { bootEvents } from '../../../src/host/swtpm/boot-events.js';
import { imaRecord, imaSigData, userspaceRecord, writeBootLog } from '../../../src/host/swtpm/log-writer.js';
import { digest } from '../../../src/tpm/algorithms.js';
import { createSoftwareTpm } from '../../fakes/software-tpm.js';
import { agileLog, algorithms, separators } from '../../support/boot-log-factory.js';
import { codes, lay, messageOf } from './lay.js';

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

test('a register of which some event has no digest of a bank is not compared in it, the others are', async (t) => {
  const { at, subject, tpm } = await booted(t);
  const [first] = algorithms.sha1;
  const gap = { pcr: 5, type: 4, data: '', digests: [[first, Buffer.alloc(20)]] as const };
  await writeFile(at('sec', 'tpm0', 'binary_bios_measurements'), agileLog([gap, ...separators()]));
  const missing = messageOf(await examineBoot(subject, tpm), 'boot_log_bank_missing');
  assert.match(missing, /^sha256: PCR 5 cannot be compared/);
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

test('a kernel that hashes files by something else than SHA-256 is told, for binary:measured compares that', async (t) => {
  const { at, subject, measureFile } = await booted(t);
  await measureFile('boot_aggregate');
  await measureFile('/usr/bin/first');
  assert.ok(!codes(await examineIma(subject, undefined)).includes('ima_hash_other'));
  const data = imaSigData('/usr/bin/second', Buffer.alloc(64));
  const sha512 = Buffer.from(data.toString('latin1').replace('sha256', 'sha512'), 'latin1');
  await appendFile(at('sec', 'ima', 'binary_runtime_measurements'), imaRecord('ima-sig', sha512));
  assert.equal(
    messageOf(await examineIma(subject, undefined), 'ima_hash_other'),
    'IMA hashes files by sha512',
  );
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
