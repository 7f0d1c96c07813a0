import assert from 'node:assert/strict';
import test from 'node:test';
import type { NodeStatus } from '../../src/agent/contract.js';
import { approveWith, feedWatchdog, followStatus, statusLine } from '../../src/agent/status.js';
import { parseSpiffeId } from '../../src/spiffe/id.js';
import { manualClock } from '../fakes/manual-clock.js';

const id = parseSpiffeId('spiffe://example.org/spire/agent/tpm/ab');
const starting: NodeStatus = {
  phase: 'starting',
  state: '',
  reasons: [],
  connected: false,
  lastContact: 0,
  svidExpiresAt: 0,
  approvalCode: '',
};
const lineOf = (change: Partial<NodeStatus>) =>
  statusLine({ status: { ...starting, ...change }, counts: { entries: 3, x509: 2 } });

test('an agent that starts says whether it attests or waits for its entries', () => {
  assert.equal(lineOf({}), 'attesting this node');
  assert.equal(lineOf({ id }), 'waiting for the server');
});

test('a code that waits for an operator goes before everything else, with the command to type', () => {
  const expected = 'waiting for approval; approve with: touchmark-server host approve ABCD-EFGH';
  for (const phase of ['starting', 'serving', 'withdrawn'] as const)
    assert.equal(lineOf({ id, phase, connected: true, approvalCode: 'ABCD-EFGH' }), expected);
  assert.equal(`waiting for approval; ${approveWith('ABCD-EFGH')}`, expected);
});

test('a serving agent says what it holds and until when it is known to the server', () => {
  assert.equal(
    lineOf({ id, phase: 'serving', connected: true, svidExpiresAt: 1_790_000_000 }),
    'serving: 3 entries, 2 X.509-SVIDs; node SVID until 2026-09-21T14:13:20Z',
  );
});

test('an agent that is cut off says since when, and from what it serves', () => {
  assert.equal(
    lineOf({ id, phase: 'serving', lastContact: 1_790_000_000_999 }),
    'cut off since 2026-09-21T14:13:20Z, serving from cache: 3 entries, 2 X.509-SVIDs',
  );
  assert.equal(
    lineOf({ id, phase: 'serving' }),
    'cut off since the start, serving from cache: 3 entries, 2 X.509-SVIDs',
  );
});

test('a withdrawal is told with its reasons, or without when there are none', () => {
  const reasons = [
    { code: 'a', message: 'PCR 7 changed' },
    { code: 'b', message: 'banned' },
  ];
  assert.equal(
    lineOf({ id, phase: 'withdrawn', connected: true, reasons }),
    'identities withdrawn by the server: PCR 7 changed; banned',
  );
  assert.equal(lineOf({ id, phase: 'withdrawn' }), 'identities withdrawn by the server');
});

test('the line is told at once, and again only when it reads differently', () => {
  const listeners = new Set<() => void>();
  const source = {
    status: starting,
    counts: { entries: 0, x509: 0 },
    onChange(listener: () => void) {
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
      };
    },
  };
  const change = (next: Partial<NodeStatus>) => {
    source.status = { ...source.status, ...next };
    for (const listener of listeners) listener();
  };
  const told: string[] = [];
  const stop = followStatus(source, (line) => told.push(line));
  change({ lastContact: 5 });
  change({ id });
  change({ state: 'trusted' });
  assert.deepEqual(told, ['attesting this node', 'waiting for the server']);
  stop();
  assert.equal(listeners.size, 0);
});

test('the watchdog is fed twice in its interval, and only while the agent works', () => {
  const clock = manualClock();
  let alive = true;
  let fed = 0;
  const stop = feedWatchdog(
    clock,
    10_000,
    () => alive,
    () => {
      fed += 1;
    },
  );
  assert.equal(fed, 1);
  clock.advance(20_000);
  assert.equal(fed, 5);
  alive = false;
  clock.advance(20_000);
  assert.equal(fed, 5, 'a loop that ended starves it');
  alive = true;
  clock.advance(5_000);
  assert.equal(fed, 6);
  stop();
  clock.advance(60_000);
  assert.deepEqual([fed, clock.timers], [6, 0]);
});

test('without a watchdog nothing is planned', () => {
  const clock = manualClock();
  const stop = feedWatchdog(
    clock,
    undefined,
    () => true,
    () => assert.fail('there is nobody to feed'),
  );
  assert.equal(clock.timers, 0);
  stop();
});
