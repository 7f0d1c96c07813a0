import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { judgementReasons } from '../../../src/server/hosts/derive.js';
import { hostSelectors } from '../../../src/server/hosts/selectors.js';
import { type HostChange, hostRefusal, transition } from '../../../src/server/hosts/state.js';
import type { AppraisalRecord } from '../../../src/server/model.js';
import { formatSelector } from '../../../src/spiffe/selector.js';
import { throwsCode } from '../../support/rejects.js';
import { appraised, hostIn, judgement, now, reason, verdicts } from './records.js';

describe('a host follows its evidence', () => {
  const told = [{ code: 'file_unknown', message: 'runtime: nobody knows /tmp/x' }];

  it('to every state that a verdict names, with its reasons', () => {
    for (const verdict of verdicts) {
      const after = transition(hostIn('unmeasured'), appraised(verdict), now);
      assert.equal(after.state, verdict);
      assert.deepEqual(after.reasons, verdict === 'suspect' || verdict === 'drifted' ? told : [], verdict);
      assert.equal(after.graceEndsAt, verdict === 'suspect' ? now + 5000 : 0, verdict);
      assert.equal(after.appraisal?.verdict, verdict);
    }
  });

  it('and back: a host that drifted recovers by good evidence alone, on a session or by attesting', () => {
    const drifted = transition(hostIn('trusted'), appraised('drifted'), now);
    const later = now + 60_000;
    const recovered = transition(drifted, appraised('trusted'), later);
    assert.deepEqual([recovered.state, recovered.reasons, recovered.stateSince], ['trusted', [], later]);
    const attested = transition(drifted, { ...appraised('trusted'), kind: 'attested' }, later);
    assert.equal(attested.state, 'trusted');
  });

  it('an attestation with bad evidence leaves a record of a host that is refused', () => {
    const after = transition(hostIn('trusted'), { ...appraised('drifted'), kind: 'attested' }, now);
    assert.equal(after.state, 'drifted');
    const refusal = hostRefusal(after, now);
    assert.equal(refusal?.code, 'host_drifted');
    assert.equal(refusal?.message, 'host ab has drifted from its policy: runtime: nobody knows /tmp/x');
  });

  it('a suspicion outlives good evidence, and bad evidence is worse than a suspicion', () => {
    const suspect = transition(hostIn('trusted'), appraised('trusted', 0, [reason]), now);
    assert.deepEqual([suspect.state, suspect.reasons], ['suspect', [reason]]);
    const still = transition(suspect, appraised('trusted'), now + 1000);
    assert.deepEqual([still.state, still.graceEndsAt], ['suspect', now + 5000]);
    const drifted = transition(still, appraised('drifted'), now + 2000);
    assert.deepEqual([drifted.state, drifted.reasons], ['drifted', [reason, ...told]]);
    const back = transition(drifted, appraised('trusted'), now + 3000);
    assert.deepEqual([back.state, back.reasons], ['suspect', [reason]]);
  });

  it('suspect evidence does not prolong its own grace, however often it comes', () => {
    let host = transition(hostIn('trusted'), appraised('suspect'), now);
    for (let at = now; at < now + 20_000; at += 1000) host = transition(host, appraised('suspect'), at);
    assert.equal(host.graceEndsAt, now + 5000);
    assert.equal(hostRefusal(host, now + 5000)?.code, 'host_suspect');
  });

  it('within a maintenance window it is suspect instead of drifted, until the window ends', () => {
    const until = now + 100_000;
    const excused = transition(hostIn('trusted'), appraised('drifted', until), now);
    assert.deepEqual([excused.state, excused.graceEndsAt], ['suspect', until]);
    assert.deepEqual(excused.reasons, [
      {
        code: 'maintenance',
        message: `its group is under maintenance until ${new Date(until).toISOString()}`,
      },
      ...told,
    ]);
    assert.equal(hostRefusal(excused, until - 1), undefined);
    assert.equal(hostRefusal(excused, until)?.code, 'host_suspect');
    assert.equal(transition(excused, appraised('drifted', until), until).state, 'drifted');
    assert.equal(transition(excused, appraised('trusted', until), now).state, 'trusted');
  });

  it('a suspicion within a maintenance window has its own, shorter grace', () => {
    const excused = transition(hostIn('trusted'), appraised('drifted', now + 100_000), now);
    const odd = transition(excused, appraised('drifted', now + 100_000, [reason]), now + 1);
    assert.deepEqual([odd.state, odd.graceEndsAt], ['suspect', now + 5001]);
  });

  it('the grace of a suspicion ends when it ends, whatever a host under maintenance shows meanwhile', () => {
    const until = now + 100_000;
    let host = transition(hostIn('trusted'), appraised('drifted', until, [reason]), now);
    for (let at = now; at < now + 20_000; at += 1000)
      host = transition(host, appraised(at % 2000 === 0 ? 'drifted' : 'trusted', until), at);
    assert.deepEqual([host.state, host.graceEndsAt], ['suspect', now + 5000]);
    assert.equal(hostRefusal(host, now + 5000)?.code, 'host_suspect');
  });

  it('nor does a drift that is over begin it anew, and only a release does', () => {
    const odd = transition(hostIn('trusted'), appraised('trusted', 0, [reason]), now);
    const drifted = transition(odd, appraised('drifted'), now + 3000);
    const back = transition(drifted, appraised('trusted'), now + 4000);
    assert.deepEqual([back.state, back.graceEndsAt], ['suspect', now + 5000]);
    const released = transition(back, { kind: 'released', graceMs: 5000 }, now + 4500);
    assert.equal(released.state, 'trusted');
    const again = transition(released, appraised('trusted', 0, [reason]), now + 60_000);
    assert.deepEqual([again.state, again.graceEndsAt], ['suspect', now + 65_000]);
  });

  it('quarantine outlives good evidence; its end brings the host back to what its evidence says', () => {
    const apart = transition(hostIn('trusted'), { kind: 'quarantined', reason }, now);
    const judged = transition(apart, appraised('trusted'), now + 1);
    assert.deepEqual([judged.state, judged.reasons], ['quarantined', [reason]]);
    const released: HostChange = { kind: 'released', graceMs: 5000 };
    assert.equal(transition(judged, released, now + 2).state, 'trusted');
    const worse = transition(apart, appraised('drifted'), now + 1);
    assert.equal(transition(worse, released, now + 2).state, 'drifted');
  });

  it('what evidence says is not released by a word', () => {
    const released: HostChange = { kind: 'released', graceMs: 5000 };
    const drifted = transition(hostIn('trusted'), appraised('drifted'), now);
    throwsCode(
      'host_state_conflict',
      /^host ab has drifted by its evidence: repair it, or accept what it shows in a reference set; it recovers by itself$/,
      () => transition(drifted, released, now),
    );
    const suspect = transition(hostIn('trusted'), appraised('suspect'), now);
    throwsCode('host_state_conflict', /^host ab is suspect by its evidence: /, () =>
      transition(suspect, released, now),
    );
  });

  it('names one reason of every component before the second of any, and not too many', () => {
    const many = (component: 'runtime' | 'firmware', count: number) =>
      ({
        component,
        result: 'fail',
        reasons: Array.from({ length: count }, (_, at) => ({ code: `c${at}`, message: `${at}` })),
        more: 0,
        checked: count,
      }) as const;
    const components = [many('firmware', 1), many('runtime', 20)];
    const reasons = judgementReasons(judgement('drifted', components)).map(({ message }) => message);
    assert.deepEqual(reasons.slice(0, 3), ['firmware: 0', 'runtime: 0', 'runtime: 1']);
    assert.equal(reasons.length, 10);
  });
});

describe('selectors of measurement', () => {
  const passed = (result: 'pass' | 'warn') =>
    [{ component: 'secure-boot', result, reasons: [], more: 0, checked: 3 }] as const;
  const texts = (appraisal: AppraisalRecord) =>
    hostSelectors(hostIn('trusted', { appraisal })).map(formatSelector);

  it('are there for what was found good', () => {
    assert.deepEqual(texts(judgement('trusted', passed('pass'))), [
      'measure:policy:web',
      'measure:secureboot',
    ]);
    assert.deepEqual(texts(judgement('trusted', passed('warn'))), ['measure:policy:web']);
    assert.deepEqual(texts({ ...judgement('trusted', []), ukis: ['Debian 12: 6.1.0-28'] }), [
      'measure:policy:web',
      'measure:uki:Debian 12: 6.1.0-28',
    ]);
  });

  it('not for a host that is suspected of being a clone, however good its evidence is', () => {
    const odd = transition(hostIn('trusted'), appraised('trusted', 0, [reason]), now);
    assert.equal(odd.appraisal?.verdict, 'trusted');
    assert.deepEqual(hostSelectors(odd).map(formatSelector), []);
    const released = transition(odd, { kind: 'released', graceMs: 5000 }, now + 1);
    assert.deepEqual(hostSelectors(released).map(formatSelector), ['measure:policy:web']);
  });

  it('and for nothing else', () => {
    for (const verdict of ['suspect', 'drifted', 'unmeasured'] as const)
      assert.deepEqual(texts({ ...judgement(verdict, passed('pass')), ukis: ['image 1'] }), [], verdict);
    assert.deepEqual(hostSelectors(hostIn('trusted')), []);
  });
});
