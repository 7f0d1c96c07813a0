import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { ErrorCode } from '../../../src/errors.js';
import { hasCode } from '../../../src/errors.js';
import {
  checkIssuance,
  type HostChange,
  hostRefusal,
  issuanceRefusal,
  shownState,
  stateTable,
  transition,
} from '../../../src/server/hosts/state.js';
import type { HostState } from '../../../src/server/model.js';
import { throwsCode } from '../../support/rejects.js';
import { appraised, hostIn, nodeOf, now, reason, verdicts } from './records.js';

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
