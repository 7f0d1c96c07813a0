import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { test } from 'node:test';
import { appraise } from '../../../src/measure/appraise/appraise.js';
import type { Evidence } from '../../../src/measure/appraise/contract.js';
import { MAX_BOOT_LOG } from '../../../src/measure/boot/boot-log.js';
import { eventType } from '../../../src/measure/boot/event-types.js';
import { MAX_USERSPACE_LOG } from '../../../src/measure/userspace/userspace-log.js';
import {
  bootEvents,
  COMMAND_LINE,
  configuration,
  image,
  initrd,
  securityVariable,
} from '../../support/appraisal-boot.js';
import { allRules, goodHost, goodReferences, resolved } from '../../support/appraisal-factory.js';
import { buffer, measure, whole, withLogs, withoutValues } from '../../support/appraisal-host.js';
import { codesOf } from '../../support/appraisal-judge.js';
import { agileLog, algorithms, type MadeEvent } from '../../support/boot-log-factory.js';

/** What is quadratic takes minutes on logs of these sizes; what is linear a fraction of a second, on a busy machine too. */
const MOST_MS = 10_000;
const policy = resolved({ ...allRules, commandLine: { ...allRules.commandLine, forbid: ['init=*', 'x'] } }, [
  goodReferences,
]);
const good = measure(goodHost);

function judged(evidence: Evidence) {
  const begin = process.hrtime.bigint();
  const result = appraise(evidence, undefined, policy);
  const spent = Number(process.hrtime.bigint() - begin) / 1e6;
  assert.ok(spent < MOST_MS, `${spent} ms`);
  assert.notEqual(result.verdict, 'trusted');
  return result;
}

/** A log of the one bank that is quoted, as many events as fit. */
function fullLog(...kinds: readonly MadeEvent[]): Buffer {
  const sha256Only = (event: MadeEvent): MadeEvent => ({
    ...event,
    digests: [
      [algorithms.sha256[0], hash('sha256', Buffer.from(event.measured ?? event.data ?? ''), 'buffer')],
    ],
  });
  const size = 50 * kinds.length + kinds.reduce((sum, { data = '' }) => sum + data.length, 0);
  const base = bootEvents.map(sha256Only);
  const rounds = Math.floor((MAX_BOOT_LOG - 20_000) / size);
  const more = kinds.map(sha256Only);
  const events = [...base, ...Array.from({ length: rounds }, () => more).flat()];
  return agileLog(events, [algorithms.sha256]);
}

const withBoot = (bootLog: Uint8Array) => withLogs(good.evidence, { 'boot-log': whole(bootLog) });

test('a boot log full of an accepted image and of unknown events of the kernel', () => {
  const result = judged(withBoot(fullLog(image('unified image', ''), { ...initrd('another'), data: '' })));
  assert.ok(codesOf(result, 'boot-chain').includes('boot_event_unknown'));
});

test('a boot log full of separators, variables and images that nobody knows', () => {
  const bad = { pcr: 7, type: eventType.separator, data: '' };
  const variable = configuration(securityVariable('x', ''));
  for (const kind of [bad, { ...bad, pcr: 0 }, variable, image('unknown', '')]) {
    assert.equal(judged(withBoot(fullLog(kind))).verdict, 'drifted');
  }
});

test('a boot log with one list of very many signatures', () => {
  const entries = 110_000;
  const list = Buffer.alloc(28 + entries * 17);
  Buffer.from('2616c4c14c509240aca941f936934328', 'hex').copy(list);
  list.writeUInt32LE(list.length, 16);
  list.writeUInt32LE(17, 24);
  judged(withBoot(fullLog(configuration(securityVariable('dbt', list)))));
});

test('command lines that are as long as a boot log, in many words, in quotes, in NULs', () => {
  const texts = [
    'x '.repeat(480_000),
    'init=/bin/sh '.repeat(70_000),
    `"${'x '.repeat(480_000)}`,
    `${'\0'.repeat(960_000)}x`,
  ];
  for (const text of texts) {
    const line = { pcr: 12, type: eventType.ipl, data: Buffer.from(text, 'utf16le') };
    judged(withBoot(agileLog([...bootEvents, line])));
  }
  const grub = { pcr: 8, type: eventType.ipl, data: `kernel_cmdline: ${texts[1]}`, measured: `${texts[1]}` };
  judged(withBoot(agileLog([...bootEvents, grub])));
});

test('a boot log full of command lines', () => {
  const stub = { pcr: 12, type: eventType.ipl, data: Buffer.from(COMMAND_LINE, 'utf16le') };
  judged(withBoot(fullLog(stub)));
  judged(withBoot(fullLog({ pcr: 8, type: eventType.ipl, data: 'kernel_cmdline: /x', measured: '/x' })));
  judged(withBoot(fullLog({ pcr: 11, type: eventType.ipl, data: '' })));
});

/** A short record, of one of two registers. */
function shortRecord(n: number): string {
  const digest = hash('sha256', String(n), 'hex');
  return `\x1e{"pcr":1${1 + (n % 2)},"digests":[{"hashAlg":"sha256","digest":"${digest}"}],"content_type":"systemd"}\n`;
}

const count = Math.floor(MAX_USERSPACE_LOG / shortRecord(0).length);
const records = Buffer.from(Array.from({ length: count }, (_, n) => shortRecord(n)).join(''));

test('a userspace log full of records, with the values of the registers and without', () => {
  const evidence = withLogs(good.evidence, { 'userspace-log': whole(records) });
  assert.equal(judged(evidence).confirmed.userspaceEvents, 0);
  assert.equal(judged(withoutValues(evidence)).confirmed.userspaceEvents, 0);
});

test('a buffer of NULs in an IMA list', () => {
  const ima = [buffer('kexec-cmdline', `${'\0'.repeat(1_000_000)}x`)];
  assert.ok(codesOf(judged(measure({ ...goodHost, ima }).evidence), 'boot-chain').includes('kexec'));
});
