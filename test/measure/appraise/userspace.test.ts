import assert from 'node:assert/strict';
import { test } from 'node:test';
import { appraise } from '../../../src/measure/appraise/appraise.js';
import { eventType } from '../../../src/measure/boot/event-types.js';
import { bootEvents } from '../../support/appraisal-boot.js';
import {
  allRules,
  goodHost,
  goodReferences,
  referenceSet,
  resolved,
  userspaceRecords,
} from '../../support/appraisal-factory.js';
import { absent, measure, sha256, withLogs, withoutValues } from '../../support/appraisal-host.js';
import { codesOf, componentOf, faults, judge, without } from '../../support/appraisal-judge.js';
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
  const set = referenceSet({ userspace: [{ digest: sha256('known'), label: '' }] });
  const bare = { ...record(12, 'known'), content: {} } as never;
  const known = judge({ userspace: [...userspaceRecords, bare] }, {}, goodReferences, set);
  assert.deepEqual(codesOf(known, 'userspace'), []);
});

test('a key is measured under itself: its name is accepted with a warning, only in its register', () => {
  const key = (pcr: number, text = 'cryptsetup:root:5f2c') => ({
    ...record(pcr, 'hmac'),
    content: record(pcr, text, 'volume-key').content,
  });
  const accept = { userspace: { ...allRules.userspace, accept: ['cryptsetup:*', 'machine-id:*'] } };
  const warned = judge({ userspace: [...userspaceRecords, key(15)] }, accept);
  assert.deepEqual(codesOf(warned, 'userspace'), ['userspace_text_unproven']);
  assert.equal(componentOf(warned, 'userspace').result, 'warn');
  assert.deepEqual(codes(key(11)), ['userspace_text_mismatch']);
  assert.deepEqual(codes(key(15)), ['userspace_record_unknown'], 'a name that nothing accepts');
  const other = judge({ userspace: [...userspaceRecords, key(15, 'machine-id:0123')] }, accept);
  assert.deepEqual(codesOf(other, 'userspace'), ['userspace_text_mismatch'], 'no name of a key');
  assert.equal(other.verdict, 'suspect');
});

test('a record of a register that is not for user space explains nothing of it', () => {
  const result = judge({ userspace: [record(4, 'machine-id:0'), ...userspaceRecords] });
  assert.equal(result.verdict, 'drifted');
  const [unexplained] = componentOf(result, 'boot-chain').reasons;
  assert.deepEqual(
    [unexplained?.code, unexplained?.pcr, unexplained?.log],
    ['pcr_unexplained', 4, 'boot-log'],
  );
  assert.match(unexplained?.message ?? '', /the boot log of \d+ bytes gives [0-9a-f]{64} by 4 events/);
  assert.match(unexplained?.message ?? '', /; the userspace log claims it, which never extends it$/);
  assert.deepEqual(codesOf(result, 'userspace'), ['userspace_pcr_unexpected']);
});

test('a record of a register that the boot extends may be an event of the boot, for every rule that nothing answers to as strictly', () => {
  const stranger = record(9, 'nvpcr-init:hardware');
  const untold = { ...stranger, content: {} } as never;
  const others = without('runtime', 'commandLine', 'userspace');
  assert.deepEqual(faults(judge({ userspace: [stranger] }, others)), {
    'boot-chain': ['userspace_record_uncertain'],
  });
  const strict = { onFail: 'drift', accept: ['nvpcr-init:*'] } as const;
  assert.deepEqual(faults(judge({ userspace: [stranger] }, { ...others, userspace: strict })), {});
  const bare = judge({ userspace: [untold] }, { ...others, userspace: strict });
  assert.deepEqual(faults(bare), { userspace: ['userspace_record_untold'] });
  for (const onFail of ['warn', 'suspect'] as const) {
    const result = judge({ userspace: [stranger] }, { userspace: { onFail, accept: [] } });
    assert.deepEqual(codesOf(result, 'boot-chain'), ['userspace_record_uncertain'], onFail);
    assert.equal(result.verdict, 'drifted');
  }
});

test('a digest that is accepted without a text to read may be a command line, whatever else answers', () => {
  const untold = { ...record(12, 'known'), content: {} } as never;
  const set = referenceSet({ userspace: [{ digest: sha256('known'), label: '' }] });
  const rules = { ...without('commandLine'), userspace: { onFail: 'drift', accept: [] } } as const;
  const runtime = judge({ userspace: [untold] }, rules, goodReferences, set);
  assert.deepEqual(faults(runtime), { runtime: ['userspace_record_untold'] });
  const line = judge(
    { userspace: [untold] },
    { ...rules, commandLine: allRules.commandLine },
    goodReferences,
    set,
  );
  assert.deepEqual(faults(line), { 'command-line': ['userspace_record_untold'] });
});

test('an event of the boot log in a register of user space may be one of its records', () => {
  const moved = { pcr: 15, type: eventType.ipl, data: 'file-system:evil' };
  const boot = [...bootEvents, moved];
  assert.deepEqual(codesOf(judge({ boot }), 'boot-chain'), ['boot_event_unknown']);
  const { userspace } = allRules;
  const alone = judge({ boot }, {
    bootChain: undefined,
    userspace: { ...userspace, onFail: 'drift' },
  } as never);
  assert.deepEqual(codesOf(alone, 'userspace'), ['userspace_record_moved']);
  assert.equal(alone.verdict, 'drifted');
  const named = referenceSet({ userspace: [{ digest: sha256('file-system:evil'), label: '' }] });
  const known = judge({ boot }, without('bootChain'), goodReferences, named);
  assert.deepEqual(codesOf(known, 'userspace'), []);
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
