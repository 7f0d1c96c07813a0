import assert from 'node:assert/strict';
import { test } from 'node:test';
import { appraise } from '../../../src/measure/appraise/appraise.js';
import type { ComponentAppraisal, Evidence } from '../../../src/measure/appraise/contract.js';
import { isMeasured } from '../../../src/measure/appraise/is-measured.js';
import { parseBootLog } from '../../../src/measure/boot/boot-log.js';
import { parseImaBinary } from '../../../src/measure/ima/ima-binary.js';
import { readImaEntry } from '../../../src/measure/ima/ima-entry.js';
import type { ReferenceSet } from '../../../src/measure/policy/model.js';
import { parsePublic } from '../../../src/tpm/public.js';
import { type QuoteFacts, verifyQuote } from '../../../src/tpm/quote.js';
import { referenceSet, resolved, runtimeRule, secureBootRule } from '../../support/appraisal-factory.js';
import { AT, absent, sha256, unchanged, whole, withLogs } from '../../support/appraisal-host.js';
import { throwsCode } from '../../support/rejects.js';
import { readRecorded } from '../../vectors/recorded.js';

const bios = readRecorded('vm/bios.bin');
const list = readRecorded('vm/ima_2.bin');
const commandLine = 'console=ttyS0,115200 ima_hash=sha256 panic=-1 quiet';

/** What a chip of that machine signed. */
function quote(stem: string, nonce = readRecorded(`vm/${stem}.nonce`)): QuoteFacts {
  const key = stem.includes('-ecc-') ? 'ak-ecc' : 'ak-rsa';
  return verifyQuote({
    attest: readRecorded(`vm/${stem}.attest`),
    signature: readRecorded(`vm/${stem}.sig`),
    ak: parsePublic(readRecorded(`vm/${key}.tpmt_public`)),
    expected: { extraData: nonce, selection: { bank: 'sha256', pcrs: [...Array(16).keys()] } },
  });
}

function evidence(stem: string, imaList = list): Evidence {
  return {
    at: AT,
    quote: quote(stem),
    logs: { 'boot-log': whole(bios), 'userspace-log': absent, 'ima-list': whole(imaList) },
  };
}

const events = parseBootLog(bios).events;
const digestOf = (index: number) =>
  `sha256:${Buffer.from(events[index]?.digests.get('sha256') ?? []).toString('hex')}`;
const inPcrs = (...pcrs: number[]) =>
  events.flatMap(({ pcr, index }) => (pcrs.includes(pcr) ? [{ digest: digestOf(index), label: '' }] : []));

/** A reference of everything in the list that is not a violation. */
const files = [...parseImaBinary(list)].flatMap((record) => {
  const { fileDigest, path, violation } = readImaEntry(record);
  if (violation || !fileDigest || !path) return [];
  return [{ digest: `sha256:${Buffer.from(fileDigest.digest).toString('hex')}`, path: path.text }];
});

const references: ReferenceSet = referenceSet({
  firmware: inPcrs(0, 2),
  firmwareConfig: inPcrs(1, 3),
  ukis: [
    {
      label: 'systemd 252 stub, Linux 6.1',
      image: [digestOf(21)],
      kernel: [digestOf(30)],
      sections: [
        { name: '.linux', digests: [digestOf(23)] },
        { name: '.osrel', digests: [digestOf(25)] },
        { name: '.cmdline', digests: [digestOf(27)] },
        { name: '.initrd', digests: [digestOf(29)] },
      ],
      commandLine,
    },
  ],
  files,
});
const rules = {
  firmware: { onFail: 'drift', accept: [], ignoreTypes: [] },
  firmwareConfig: { onFail: 'drift', accept: [], ignoreTypes: [] },
  secureBoot: { ...secureBootRule, enabled: false },
  bootChain: { onFail: 'drift', accept: [], kexec: false },
  commandLine: { onFail: 'drift', accept: [], require: ['quiet'], forbid: [] },
  runtime: {
    ...runtimeRule,
    // Its rules are loaded by the init of an image that the boot chain names, so that the image stands for them.
    rules: { policies: [], commandLine: ['ima_hash=sha256'] },
    violations: 'warn',
  },
} as const;
const policy = resolved(rules, [references]);

const results = (components: readonly ComponentAppraisal[]) =>
  Object.fromEntries(components.map(({ component, result }) => [component, result]));

test('a recorded boot of a virtual machine is trusted by its real quote, with every component judged', () => {
  const { verdict, explanation, confirmed } = appraise(evidence('quote-ecc-2'), undefined, policy);
  assert.deepEqual(results(explanation.components), {
    firmware: 'pass',
    'firmware-config': 'pass',
    'secure-boot': 'pass',
    'boot-chain': 'pass',
    'command-line': 'pass',
    runtime: 'warn',
  });
  assert.equal(verdict, 'trusted');
  assert.deepEqual(
    explanation.pcrs.filter(({ explained }) => !explained),
    [],
  );
  assert.equal(confirmed.imaEntries, 127);
  assert.equal(confirmed.bootLog, bios.length);
});

test('each quote of the recorded boot vouches for exactly its prefix of the list', () => {
  const rows = [
    ['quote-ecc-1', 'vm/ima_1.bin', 1],
    ['quote-rsa-1', 'vm/ima_1.bin', 1],
    ['quote-ecc-1', 'vm/ima_2.bin', 1],
    ['quote-ecc-2', 'vm/ima_2.bin', 127],
    ['quote-rsa-2', 'vm/ima_2.bin', 128],
  ] as const;
  for (const [stem, file, entries] of rows) {
    const { confirmed, explanation } = appraise(evidence(stem, readRecorded(file)), undefined, policy);
    assert.equal(confirmed.imaEntries, entries, `${stem} of ${file}`);
    assert.ok(explanation.pcrs.every(({ explained }) => explained));
  }
});

test('the next quote of the same boot is judged by what came in between', () => {
  const first = appraise(evidence('quote-ecc-1', readRecorded('vm/ima_1.bin')), undefined, policy);
  assert.equal(first.confirmed.imaList, 106);
  const rest = { kind: 'bytes', offset: 106, bytes: list.subarray(106) } as const;
  const grown = withLogs(evidence('quote-ecc-2'), { 'boot-log': unchanged, 'ima-list': rest });
  const second = appraise(grown, first.newState, policy);
  const atOnce = appraise(evidence('quote-ecc-2'), undefined, policy);
  assert.deepEqual(second.explanation, atOnce.explanation);
  assert.deepEqual(second.confirmed, atOnce.confirmed);
  const busybox = 'sha256:3d9f2889d6782537624a4e1a10e68a2ddd53e0ee8bac02676f27308f42ec6bf6';
  assert.equal(isMeasured(second.newState, busybox), true);
  assert.equal(isMeasured(first.newState, busybox), false);
});

test('a list that was cut off before what the quote covers is not explained, and PCR 10 is named', () => {
  const short = list.subarray(0, 9000);
  const { verdict, explanation, confirmed } = appraise(evidence('quote-ecc-2', short), undefined, policy);
  assert.equal(verdict, 'drifted');
  assert.deepEqual(confirmed.imaEntries, 0);
  const runtime = explanation.components.find(({ component }) => component === 'runtime');
  assert.deepEqual(
    runtime?.reasons.map(({ code, pcr }) => [code, pcr]),
    [
      ['quote_unexplained', 10],
      ['nothing_measured', 10],
    ],
  );
});

test('a quote of zeros after a power cycle is no boot that anything explains', () => {
  const after = quote('quote-ecc-afterreboot', Buffer.alloc(32, 7));
  const before = appraise(evidence('quote-ecc-2'), undefined, policy);
  const logs = { 'boot-log': unchanged, 'userspace-log': unchanged, 'ima-list': unchanged };
  throwsCode('evidence_boot_changed', /boot 3-0, what is remembered of 2-0/, () =>
    appraise({ at: AT, quote: after, logs }, before.newState, policy),
  );
  const old = { ...evidence('quote-ecc-2'), quote: after };
  const { verdict, explanation } = appraise(old, before.newState, policy);
  assert.equal(verdict, 'drifted');
  assert.ok(explanation.components.every(({ result }) => result === 'fail'));
});

test('the same boot under a policy that does not name its image, its file or its command line', () => {
  const [uki] = references.ukis;
  assert.ok(uki);
  const rows = [
    [{ ...references, ukis: [{ ...uki, image: [sha256('x')] }] }, 'boot-chain', 'boot_image_unknown', 21],
    [{ ...references, ukis: [{ ...uki, kernel: [sha256('x')] }] }, 'boot-chain', 'boot_image_unknown', 30],
    [
      { ...references, ukis: [{ ...uki, sections: uki.sections.slice(0, 3) }] },
      'boot-chain',
      'boot_event_unknown',
      32,
    ],
    [{ ...references, files: files.slice(5) }, 'runtime', 'file_unknown', 2],
    [{ ...references, firmware: references.firmware.slice(1) }, 'firmware', 'event_digest_unknown', 0],
  ] as const;
  for (const [changed, component, code, event] of rows) {
    const { verdict, explanation } = appraise(evidence('quote-ecc-2'), undefined, resolved(rules, [changed]));
    assert.equal(verdict, 'drifted');
    const found = explanation.components.find((one) => one.component === component)?.reasons[0];
    assert.deepEqual([found?.code, found?.event], [code, event]);
  }
});
