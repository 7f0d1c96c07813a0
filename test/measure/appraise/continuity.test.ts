import assert from 'node:assert/strict';
import { test } from 'node:test';
import { appraise } from '../../../src/measure/appraise/appraise.js';
import type { Evidence } from '../../../src/measure/appraise/contract.js';
import { isMeasured } from '../../../src/measure/appraise/is-measured.js';
import type { AppraisalState } from '../../../src/measure/appraise/state.js';
import { bootEvents } from '../../support/appraisal-boot.js';
import {
  allRules,
  goodHost,
  goodReferences,
  imaFiles,
  resolved,
  userspaceRecords,
} from '../../support/appraisal-factory.js';
import {
  AT,
  evidenceOf,
  file,
  measure,
  sha256,
  unchanged,
  whole,
  withLogs,
  withoutValues,
} from '../../support/appraisal-host.js';
import { codesOf, componentOf, faults, judge } from '../../support/appraisal-judge.js';
import { throwsCode } from '../../support/rejects.js';
import { record } from '../../support/userspace-log-factory.js';

const policy = resolved(allRules, [goodReferences]);
const early = measure({ ...goodHost, quotedRecords: 3, quotedEntries: 2 });
const late = measure(goodHost);
const allUnchanged = { 'boot-log': unchanged, 'userspace-log': unchanged, 'ima-list': unchanged };

/** What the host shows later, sent as what is new since. */
function increment(state: AppraisalState): Evidence {
  const { userspaceLog, imaList } = state.confirmed;
  return withLogs(late.evidence, {
    'boot-log': unchanged,
    'userspace-log': { kind: 'bytes', offset: userspaceLog, bytes: late.userspaceLog.subarray(userspaceLog) },
    'ima-list': { kind: 'bytes', offset: imaList, bytes: late.imaList.subarray(imaList) },
  });
}

test('logs that grew while the chip quoted: the first prefix that fits is judged, the tail is not', () => {
  const { verdict, confirmed, newState, explanation } = appraise(early.evidence, undefined, policy);
  assert.deepEqual([confirmed.userspaceEvents, confirmed.imaEntries], [3, 2]);
  assert.deepEqual(faults({ explanation }), { runtime: ['agent_not_measured', 'agent_not_measured'] });
  assert.equal(verdict, 'drifted');
  assert.equal(isMeasured(newState, sha256('/usr/lib/touchmark/node')), false, 'the tail is not vouched for');
});

test('increments come to the same judgement and state as whole logs', () => {
  const first = appraise(early.evidence, undefined, policy);
  const kept = structuredClone(first.newState);
  const second = appraise(increment(first.newState), first.newState, policy);
  const once = appraise(late.evidence, undefined, policy);
  assert.deepEqual(second.explanation, once.explanation);
  assert.equal(second.verdict, 'trusted');
  assert.deepEqual(second.confirmed, once.confirmed);
  assert.deepEqual(structuredClone(first.newState), kept, 'the older state shows what it showed');
  assert.equal(isMeasured(second.newState, sha256('/usr/lib/touchmark/node')), true);
  const third = appraise(withLogs(late.evidence, allUnchanged), structuredClone(second.newState), policy);
  assert.deepEqual(third.explanation, once.explanation, 'nothing new, from a state that crossed a thread');
  assert.equal(appraise(late.evidence, second.newState, policy).verdict, 'trusted', 'whole logs again');
});

test('two futures of one state do not see one another', () => {
  const { newState } = appraise(late.evidence, undefined, policy);
  const next = (path: string) => {
    const grown = measure({ ...goodHost, ima: [...imaFiles, file(path)] });
    const bytes = grown.imaList.subarray(newState.confirmed.imaList);
    const part = { kind: 'bytes', offset: newState.confirmed.imaList, bytes } as const;
    return appraise(withLogs(grown.evidence, { ...allUnchanged, 'ima-list': part }), newState, policy);
  };
  const [one, two] = [next('/tmp/one'), next('/tmp/two')];
  assert.deepEqual(
    [isMeasured(one.newState, sha256('/tmp/one')), isMeasured(one.newState, sha256('/tmp/two'))],
    [true, false],
  );
  assert.deepEqual(
    [isMeasured(two.newState, sha256('/tmp/one')), isMeasured(newState, sha256('/tmp/one'))],
    [false, false],
  );
  assert.equal(appraise(withLogs(late.evidence, allUnchanged), newState, policy).verdict, 'trusted');
});

test('a list that does not explain PCR 10 moves nothing and judges nothing', () => {
  const { newState } = appraise(late.evidence, undefined, policy);
  const moved = new Map([...late.pcrs, [10, Buffer.alloc(32, 9)]]);
  const result = appraise(withLogs(evidenceOf(moved, {}), allUnchanged), newState, policy);
  assert.equal(result.verdict, 'drifted');
  assert.deepEqual(result.confirmed, newState.confirmed);
  const [reason] = componentOf(result, 'runtime').reasons;
  assert.deepEqual([reason?.code, reason?.pcr], ['pcr_unexplained', 10]);
  const dropped = late.entries.filter((_, index) => index !== 2).map(({ bytes }) => bytes);
  const [a, b, c, d] = late.entries.map(({ bytes }) => bytes);
  assert.ok(a && b && c && d);
  for (const list of [dropped, [a, c, b, d], [a, b, b, c, d], [a, b, c]]) {
    const evidence = withLogs(late.evidence, { 'ima-list': whole(Buffer.concat(list)) });
    const { verdict, confirmed, explanation } = appraise(evidence, undefined, policy);
    assert.deepEqual([verdict, confirmed.imaEntries], ['drifted', 0]);
    assert.deepEqual(codesOf({ explanation }, 'runtime'), ['pcr_unexplained', 'nothing_measured']);
  }
});

test('a tail that cannot be read does not matter, a prefix that cannot be read does', () => {
  const tail = withLogs(late.evidence, {
    'ima-list': whole(Buffer.concat([late.imaList, Buffer.alloc(50, 0xff)])),
    'userspace-log': whole(Buffer.concat([late.userspaceLog, Buffer.from('\x1e{"pcr":11')])),
  });
  assert.equal(appraise(tail, undefined, policy).verdict, 'trusted');
  const broken = withLogs(late.evidence, {
    'ima-list': whole(Buffer.concat([late.imaList.subarray(0, 150), Buffer.alloc(50, 0xff)])),
    'userspace-log': whole(late.userspaceLog.subarray(0, 300)),
  });
  const result = appraise(broken, undefined, policy);
  assert.ok(codesOf(result, 'runtime').includes('ima_list_unreadable'));
  assert.ok(codesOf(result, 'userspace').includes('userspace_log_unreadable'));
});

test('offsets: from the beginning or from what was confirmed, and no other', () => {
  const { newState } = appraise(late.evidence, undefined, policy);
  const bytes = Buffer.alloc(0);
  const parts = [
    { 'ima-list': { kind: 'bytes', offset: newState.confirmed.imaList + 1, bytes } },
    { 'ima-list': { kind: 'bytes', offset: 5, bytes } },
    { 'userspace-log': { kind: 'bytes', offset: 7, bytes } },
    { 'boot-log': { kind: 'bytes', offset: 9, bytes } },
  ] as const;
  for (const part of parts) {
    throwsCode('evidence_offset', /neither 0 nor the confirmed/, () =>
      appraise(withLogs(late.evidence, { ...allUnchanged, ...part }), newState, policy),
    );
  }
  throwsCode('evidence_offset', /unchanged, but nothing is remembered/, () =>
    appraise(withLogs(late.evidence, { 'ima-list': unchanged }), undefined, policy),
  );
  const more = { kind: 'bytes', offset: newState.confirmed.bootLog, bytes: Buffer.of(1) } as const;
  throwsCode('evidence_offset', /it is whole before the kernel starts/, () =>
    appraise(withLogs(late.evidence, { ...allUnchanged, 'boot-log': more }), newState, policy),
  );
  const other = measure({ ...goodHost, boot: [...bootEvents, ...bootEvents.slice(0, 1)] });
  throwsCode('evidence_offset', /userspace log is wanted whole/, () =>
    appraise(withLogs(other.evidence, { 'userspace-log': unchanged }), newState, policy),
  );
});

test('another boot wants whole logs; a resume goes on with them', () => {
  const { newState } = appraise(late.evidence, undefined, policy);
  const at = (resetCount: number, restartCount: number) =>
    withLogs(evidenceOf(late.pcrs, {}, { resetCount, restartCount }), allUnchanged);
  throwsCode('evidence_boot_changed', /boot 2-0, what is remembered of 1-0/, () =>
    appraise(at(2, 0), newState, policy),
  );
  const resumed = appraise(at(1, 3), newState, policy);
  assert.equal(resumed.verdict, 'trusted');
  assert.equal(resumed.newState.restartCount, 3);
  throwsCode('evidence_boot_changed', /boot 1-2/, () => appraise(at(1, 2), resumed.newState, policy));
  const rebooted = { ...late.evidence, quote: { ...late.evidence.quote, resetCount: 2 } };
  assert.equal(appraise(rebooted, newState, policy).verdict, 'trusted');
});

test('another policy, or other windows of accept-next, want whole logs', () => {
  const { newState } = appraise(late.evidence, undefined, policy);
  const other = resolved(allRules, [goodReferences]);
  throwsCode('appraisal_policy_changed', /under another policy/, () =>
    appraise(withLogs(late.evidence, allUnchanged), newState, other),
  );
  assert.equal(appraise(late.evidence, newState, other).verdict, 'trusted');
  const next = resolved(allRules, [], [{ references: [goodReferences], from: AT, until: AT + 1000 }]);
  const open = appraise(late.evidence, undefined, next);
  assert.equal(open.verdict, 'trusted');
  const tick = { ...withLogs(late.evidence, allUnchanged), at: AT + 999 };
  assert.equal(appraise(tick, open.newState, next).verdict, 'trusted');
  throwsCode('appraisal_policy_changed', /other accept-next windows/, () =>
    appraise({ ...tick, at: AT + 1000 }, open.newState, next),
  );
  assert.equal(appraise({ ...late.evidence, at: AT + 1000 }, open.newState, next).verdict, 'drifted');
  assert.equal(appraise({ ...late.evidence, at: AT - 1 }, undefined, next).verdict, 'drifted');
});

test('without a policy logs are replayed and remembered; a report decides nothing', () => {
  const none = appraise(late.evidence, undefined, undefined);
  assert.equal(none.verdict, 'unmeasured');
  assert.deepEqual(none.explanation.components, []);
  assert.equal(none.confirmed.imaEntries, late.entries.length);
  assert.equal(isMeasured(none.newState, sha256('/usr/bin/true')), true);
  assert.equal(
    appraise(withLogs(late.evidence, allUnchanged), none.newState, undefined).verdict,
    'unmeasured',
  );
  const report = judge({ ima: [...imaFiles, file('/tmp/x')] }, { mode: 'report' });
  assert.equal(report.verdict, 'unmeasured');
  assert.deepEqual(faults(report), { runtime: ['file_unknown'] });
});

test('a failing rule has the consequence that it names, and the worst counts', () => {
  const bad = { userspace: [...userspaceRecords, record(15, 'strange')] };
  assert.equal(judge(bad).verdict, 'suspect');
  assert.equal(judge({ ...bad, ima: [] }).verdict, 'drifted');
});

test('only the digest is known: the values are found in the prefixes of both logs', () => {
  for (const made of [early, late]) {
    const known = appraise(made.evidence, undefined, policy);
    const found = appraise(withoutValues(made.evidence), undefined, policy);
    assert.deepEqual(found, known);
  }
  const wrong = measure({ ...goodHost, tamper: (pcrs) => pcrs.set(5, Buffer.alloc(32, 1)) });
  const result = appraise(withoutValues(wrong.evidence), undefined, policy);
  assert.equal(result.verdict, 'drifted');
  assert.ok(result.explanation.components.every(({ reasons }) => reasons[0]?.code === 'quote_unexplained'));
  assert.equal(
    appraise(wrong.evidence, undefined, policy).verdict,
    'trusted',
    'PCR 5 alone is nobody’s concern',
  );
});

test('values beside the quote that do not give its digest are refused once more', () => {
  const lied = { ...late.evidence, pcrValues: new Map([...late.pcrs].slice(0, 16)).set(4, Buffer.alloc(32)) };
  throwsCode('quote_pcr_values', /do not give its digest/, () => appraise(lied, undefined, policy));
});

test('reasons are kept up to twenty, the worst first, and the rest is counted', () => {
  const many = Array.from({ length: 50 }, (_, n) => file(`/tmp/${n}`));
  const found = componentOf(judge({ ima: [...imaFiles, ...many] }), 'runtime');
  assert.deepEqual([found.reasons.length, found.more], [20, 30]);
});
