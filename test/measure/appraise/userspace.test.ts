import assert from 'node:assert/strict';
import { test } from 'node:test';
import { appraise } from '../../../src/measure/appraise/appraise.js';
import {
  allRules,
  goodHost,
  goodReferences,
  referenceSet,
  resolved,
  userspaceRecords,
} from '../../support/appraisal-factory.js';
import { absent, measure, sha256, withLogs, withoutValues } from '../../support/appraisal-host.js';
import { codesOf, componentOf, judge } from '../../support/appraisal-judge.js';
import { record } from '../../support/userspace-log-factory.js';

const more = (...records: ReturnType<typeof record>[]) =>
  judge({ userspace: [...userspaceRecords, ...records] });
const codes = (...records: ReturnType<typeof record>[]) => codesOf(more(...records), 'userspace');

test('phases of a boot that goes up are accepted in PCR 11, others and elsewhere not', () => {
  assert.deepEqual(codes(record(11, 'sysinit')), []);
  assert.deepEqual(codes(record(11, 'shutdown')), ['userspace_record_unknown']);
  assert.deepEqual(codes(record(15, 'ready')), ['userspace_record_unknown']);
  assert.deepEqual(codes(record(15, 'machine-id:ffff')), [], 'a glob of the policy');
});

test('a text must hash to its digest', () => {
  const lying = { ...record(11, 'evil'), content: record(11, 'ready').content };
  const result = more(lying);
  assert.deepEqual(codesOf(result, 'userspace'), ['userspace_text_mismatch']);
  assert.equal(result.verdict, 'suspect');
  const set = referenceSet({ userspace: [{ digest: sha256('known'), label: '' }] });
  const bare = { ...record(12, 'known'), content: {} } as never;
  const known = judge({ userspace: [...userspaceRecords, bare] }, {}, goodReferences, set);
  assert.deepEqual(codesOf(known, 'userspace'), []);
});

test('a key is measured under itself: its name is accepted with a warning, only in its register', () => {
  const key = (pcr: number) => ({
    ...record(pcr, 'hmac'),
    content: record(pcr, 'machine-id:luks', 'volume-key').content,
  });
  const warned = more(key(15));
  assert.deepEqual(codesOf(warned, 'userspace'), ['userspace_text_unproven']);
  assert.equal(componentOf(warned, 'userspace').result, 'warn');
  assert.deepEqual(codes(key(11)), ['userspace_text_mismatch']);
});

test('a host that writes no log: phases of the boot explain PCR 11, nothing explains PCR 15', () => {
  const policy = resolved(allRules, [goodReferences]);
  for (const phases of [
    ['sysinit', 'ready'],
    ['enter-initrd', 'leave-initrd', 'sysinit', 'ready'],
    ['sysinit'],
  ]) {
    const { evidence } = measure({ ...goodHost, userspace: phases.map((phase) => record(11, phase)) });
    const silent = withLogs(evidence, { 'userspace-log': absent });
    for (const shown of [silent, withoutValues(silent)]) {
      const result = appraise(shown, undefined, policy);
      assert.equal(result.verdict, 'trusted', phases.join());
      assert.equal(result.explanation.pcrs.find(({ pcr }) => pcr === 11)?.from, 'userspace-log');
    }
  }
  const { evidence } = measure({ ...goodHost, userspace: [record(11, 'sysinit'), record(11, 'shutdown')] });
  const strange = appraise(withLogs(evidence, { 'userspace-log': absent }), undefined, policy);
  assert.ok(codesOf(strange, 'boot-chain').includes('pcr_unexplained'));
  const identified = measure(goodHost);
  const hidden = appraise(withLogs(identified.evidence, { 'userspace-log': absent }), undefined, policy);
  assert.ok(codesOf(hidden, 'userspace').includes('pcr_unexplained'));
});

test('user space that measures nothing passes nothing', () => {
  const result = judge({ userspace: [] });
  assert.deepEqual(codesOf(result, 'userspace'), ['nothing_measured']);
  assert.equal(result.verdict, 'suspect');
});

test('records of NV indices extend no register, and are not judged', () => {
  const { pcr: _, ...rest } = record(11, 'verity:root:00');
  const nv = { ...rest, nv_index: 0x01d10200 };
  const log = [...userspaceRecords.slice(0, 2), nv as never, ...userspaceRecords.slice(2)];
  const { evidence } = measure({ ...goodHost, userspace: userspaceRecords });
  const text = log.map((one) => `\x1e${JSON.stringify(one)}\n`).join('');
  const part = { kind: 'bytes', offset: 0, bytes: Buffer.from(text) } as const;
  const result = appraise(
    withLogs(evidence, { 'userspace-log': part }),
    undefined,
    resolved(allRules, [goodReferences]),
  );
  assert.equal(result.verdict, 'trusted');
  assert.equal(result.confirmed.userspaceEvents, 6);
});
