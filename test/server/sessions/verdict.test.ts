import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Node } from '../../../src/server/model.js';
import { standingOf } from '../../../src/server/sessions/verdict.js';
import { parseSpiffeId } from '../../../src/spiffe/id.js';

const node: Node = {
  id: parseSpiffeId('spiffe://example.org/spire/agent/join_token/1'),
  attestationType: 'join_token',
  selectors: [],
  serial: '01',
  nextSerial: '',
  svidExpiresAt: 0,
  canReattest: false,
  banned: false,
  agentVersion: '',
  attestationNumber: 1,
};

test('a node without a host is unmeasured and served, for no reason that needs words', () => {
  const standing = standingOf({ node, host: undefined, fresh: true, now: 0, reattestInterval: 60 });
  assert.equal(standing.state, 'unmeasured');
  assert.equal(standing.served, true);
  assert.deepEqual(standing.reasons, []);
});

test('a banned node without a host is told that it was banned', () => {
  const standing = standingOf({
    ...{ node: { ...node, banned: true }, host: undefined },
    ...{ fresh: true, now: 0, reattestInterval: 60 },
  });
  assert.equal(standing.withdrawn, true);
  assert.equal(standing.served, false);
  assert.deepEqual(standing.reasons, [{ code: 'agent_banned', message: 'an operator banned this agent' }]);
});
