import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { ErrorCode } from '../../../src/errors.js';
import { hasCode } from '../../../src/errors.js';
import { judgementReasons } from '../../../src/server/hosts/derive.js';
import { hostSelectors } from '../../../src/server/hosts/selectors.js';
import {
  checkIssuance,
  type HostChange,
  hostRefusal,
  issuanceRefusal,
  shownState,
  stateTable,
  transition,
} from '../../../src/server/hosts/state.js';
import type { AppraisalRecord, Host, HostState, Node, Reason } from '../../../src/server/model.js';
import { makeSpiffeId, parseTrustDomain } from '../../../src/spiffe/id.js';
import { formatSelector } from '../../../src/spiffe/selector.js';
import { throwsCode } from '../../support/rejects.js';

const now = 1_790_000_000_000;
const domain = parseTrustDomain('example.org');

function hostIn(state: HostState, change: Partial<Host> = {}): Host {
  return {
    id: 'ab',
    name: '',
    labels: {},
    eks: [],
    state,
    stateSince: now - 1000,
    reasons: [],
    graceEndsAt: state === 'suspect' ? now + 1000 : 0,
    akName: '',
    attestationNumber: 1,
    enrolledBy: 'allow-list by uid 0',
    enrolledAt: now - 1000,
    ...change,
  };
}

function nodeOf(attestationType: string, change: Partial<Node> = {}): Node {
  return {
    id: makeSpiffeId(domain, `/spire/agent/${attestationType}/ab`),
    attestationType,
    selectors: [],
    serial: '01',
    nextSerial: '',
    svidExpiresAt: 0,
    canReattest: true,
    banned: false,
    agentVersion: '',
    attestationNumber: 1,
    ...(attestationType === 'tpm' ? { hostId: 'ab' } : {}),
    ...change,
  };
}

const reason = { code: 'test', message: 'because of a test' };

describe('what a state permits', () => {
  const rows: readonly [HostState, 'yes' | ErrorCode][] = [
    ['trusted', 'yes'],
    ['unmeasured', 'yes'],
    ['suspect', 'yes'],
    ['pending', 'host_pending'],
    ['stale', 'node_stale'],
    ['drifted', 'host_drifted'],
    ['quarantined', 'host_quarantined'],
    ['banned', 'host_banned'],
    ['retired', 'host_retired'],
  ];

  it('has a row for every state', () => {
    assert.deepEqual(rows.map(([state]) => state).sort(), Object.keys(stateTable).sort());
  });

  for (const [state, expected] of rows) {
    it(`${state}: ${expected === 'yes' ? 'new SVIDs' : expected}`, () => {
      const facts = { node: nodeOf('tpm'), host: hostIn(state), sessionLive: true, now };
      if (expected === 'yes') checkIssuance(facts);
      else throwsCode(expected, /^host ab /, () => checkIssuance(facts), state);
    });

    it(`${state} without a live session gets nothing`, () => {
      const facts = { node: nodeOf('tpm'), host: hostIn(state), sessionLive: false, now };
      const code = expected === 'yes' ? 'node_stale' : expected;
      throwsCode(code, /has no live session|^host ab /, () => checkIssuance(facts), state);
    });
  }

  it('takes back what is held only from those who lost it', () => {
    const withdrawn = Object.entries(stateTable).filter(([, row]) => row.withdraw);
    assert.deepEqual(withdrawn.map(([state]) => state).sort(), [
      'banned',
      'drifted',
      'quarantined',
      'retired',
    ]);
  });

  it('lets a suspect host on until its grace ends, and not a millisecond longer', () => {
    const host = hostIn('suspect', { graceEndsAt: now + 1, reasons: [reason] });
    const node = nodeOf('tpm');
    checkIssuance({ node, host, sessionLive: true, now });
    throwsCode('host_suspect', /grace has ended: because of a test$/, () =>
      checkIssuance({ node, host, sessionLive: true, now: now + 1 }),
    );
  });

  it('says why a host in quarantine gets nothing', () => {
    const refusal = hostRefusal(hostIn('quarantined', { reasons: [reason] }), now);
    assert.equal(refusal?.message, 'host ab is in quarantine: because of a test');
  });

  it('permits nodes without a host, live or not, unless they are banned', () => {
    for (const type of ['join_token', 'x509pop']) {
      checkIssuance({ node: nodeOf(type), host: undefined, sessionLive: false, now });
      const node = nodeOf(type, { banned: true });
      throwsCode('agent_banned', /is banned$/, () =>
        checkIssuance({ node, host: undefined, sessionLive: true, now }),
      );
    }
  });

  it('refuses a banned node whatever its host says', () => {
    const facts = { node: nodeOf('tpm', { banned: true }), host: hostIn('trusted'), sessionLive: true, now };
    assert.ok(hasCode(issuanceRefusal(facts), 'agent_banned'));
  });

  it('refuses a tpm node whose host is gone', () => {
    const facts = { node: nodeOf('tpm'), host: undefined, sessionLive: true, now };
    throwsCode('host_unknown', /is not known$/, () => checkIssuance(facts));
  });

  it('shows silence as stale, but not in the place of something worse', () => {
    assert.equal(shownState(hostIn('trusted'), false), 'stale');
    assert.equal(shownState(hostIn('suspect'), false), 'stale');
    assert.equal(shownState(hostIn('trusted'), true), 'trusted');
    assert.equal(shownState(hostIn('quarantined'), false), 'quarantined');
    assert.equal(shownState(hostIn('banned'), false), 'banned');
  });
});

describe('what moves a host from one state to another', () => {
  const clean: HostChange = { kind: 'attested', suspicions: [], graceMs: 5000 };
  const odd: HostChange = { kind: 'attested', suspicions: [reason], graceMs: 5000 };

  it('a clean attestation without a policy leaves a host unmeasured, never trusted', () => {
    const after = transition(hostIn('pending'), clean, now);
    assert.equal(after.state, 'unmeasured');
    assert.equal(after.stateSince, now);
  });

  it('an attestation that stays as it was keeps the time since when', () => {
    const before = hostIn('unmeasured');
    assert.equal(transition(before, clean, now).stateSince, before.stateSince);
  });

  it('a suspicion gives a grace that later suspicions do not prolong', () => {
    const suspect = transition(hostIn('unmeasured'), odd, now);
    assert.deepEqual(
      [suspect.state, suspect.graceEndsAt, suspect.reasons],
      ['suspect', now + 5000, [reason]],
    );
    const other = { code: 'other', message: 'and another' };
    const again = transition(
      suspect,
      { kind: 'suspected', suspicions: [other, reason], graceMs: 5000 },
      now + 4000,
    );
    assert.equal(again.graceEndsAt, now + 5000);
    assert.deepEqual(again.reasons, [reason, other]);
  });

  it('a clean attestation does not lift a suspicion, and none is served after the grace', () => {
    const suspect = hostIn('suspect', { graceEndsAt: now + 10, suspicions: [reason], reasons: [reason] });
    assert.equal(transition(suspect, clean, now).state, 'suspect');
    const late = transition(suspect, clean, now + 10);
    assert.deepEqual([late.state, late.graceEndsAt], ['suspect', now + 10]);
    const refusal = hostRefusal(late, now + 10);
    assert.equal(refusal?.code, 'host_suspect');
    assert.match(refusal?.message ?? '', /grace has ended: because of a test$/);
  });

  it('takes the reasons of a record from before suspicions were kept apart for suspicions', () => {
    const old = hostIn('suspect', { reasons: [reason] });
    const after = transition(old, clean, now);
    assert.deepEqual([after.state, after.suspicions, after.graceEndsAt], ['suspect', [reason], now + 1000]);
  });

  for (const state of ['quarantined', 'banned', 'retired'] as const) {
    it(`a ${state} host cannot attest its way out`, () => {
      throwsCode(stateTable[state].refusal, /^host ab is |^host ab has /, () =>
        transition(hostIn(state), clean, now),
      );
      assert.equal(
        transition(hostIn(state), { kind: 'suspected', suspicions: [reason], graceMs: 1 }, now).state,
        state,
      );
    });
  }

  it('an operator releases from suspicion, quarantine and ban', () => {
    for (const state of ['suspect', 'quarantined', 'banned'] as const) {
      const after = transition(
        hostIn(state, { reasons: [reason], suspicions: [reason] }),
        { kind: 'released', graceMs: 5000 },
        now,
      );
      assert.deepEqual(
        [after.state, after.reasons, after.suspicions, after.graceEndsAt],
        ['unmeasured', [], [], 0],
        state,
      );
    }
  });

  it('refuses by name what an operator may not do in a state', () => {
    const ban: HostChange = { kind: 'banned', reason };
    throwsCode('host_state_conflict', /^host ab is retired and cannot be banned$/, () =>
      transition(hostIn('retired'), ban, now),
    );
    throwsCode('host_state_conflict', /^host ab is banned and cannot be quarantined$/, () =>
      transition(hostIn('banned'), { kind: 'quarantined', reason }, now),
    );
    throwsCode('host_state_conflict', /^host ab is retired and cannot be released$/, () =>
      transition(hostIn('retired'), { kind: 'released', graceMs: 1 }, now),
    );
  });

  it('nothing that a host does by itself ends a ban, a quarantine or a retirement', () => {
    const doings = fc.constantFrom<HostChange>(
      clean,
      odd,
      { kind: 'suspected', suspicions: [reason], graceMs: 9 },
      ...verdicts.map((verdict) => appraised(verdict)),
    );
    const bad = fc.constantFrom<HostState>('quarantined', 'banned', 'retired');
    fc.assert(
      fc.property(bad, fc.array(doings, { maxLength: 20 }), (state, changes) => {
        let host = hostIn(state);
        for (const change of changes) {
          try {
            host = transition(host, change, now);
          } catch (error) {
            assert.ok(hasCode(error, stateTable[state].refusal));
          }
        }
        assert.equal(host.state, state);
      }),
      { numRuns: 100 },
    );
  });
});

const verdicts = ['trusted', 'suspect', 'drifted', 'unmeasured'] as const;

function judgement(
  verdict: AppraisalRecord['verdict'],
  components?: AppraisalRecord['components'],
): AppraisalRecord {
  const failed = {
    component: 'runtime',
    result: 'fail',
    reasons: [{ code: 'file_unknown', message: 'nobody knows /tmp/x' }],
    more: 0,
    checked: 1,
  } as const;
  const base = { since: now, at: now, evidenceId: '01', policyId: 'ff', policyName: 'web', group: 'all' };
  return { ...base, verdict, components: components ?? (verdict === 'trusted' ? [] : [failed]) };
}

function appraised(
  verdict: AppraisalRecord['verdict'],
  maintenanceUntil = 0,
  suspicions: readonly Reason[] = [],
): HostChange & { kind: 'appraised' } {
  const judged = { appraisal: judgement(verdict), maintenanceUntil };
  return { kind: 'appraised', suspicions, graceMs: 5000, judged };
}

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
  });

  it('and for nothing else', () => {
    for (const verdict of ['suspect', 'drifted', 'unmeasured'] as const)
      assert.deepEqual(texts(judgement(verdict, passed('pass'))), [], verdict);
    assert.deepEqual(hostSelectors(hostIn('trusted')), []);
  });
});
