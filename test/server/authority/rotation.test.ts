import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  activateAt,
  dueStep,
  forgetAt,
  nextStepAt,
  prepareAt,
} from '../../../src/server/authority/rotation.js';
import type { AuthorityRecord } from '../../../src/server/model.js';

const DAY = 86_400;

function record(issuedAt: number, expiresAt: number): AuthorityRecord {
  return {
    id: 'a',
    purpose: 'x509',
    slot: 'active',
    tainted: false,
    keyName: 'x509-1',
    chain: [],
    published: '',
    upstreamAuthorityId: '',
    issuedAt,
    expiresAt,
  };
}

test('a successor is prepared at half life, or 30 days before the end', () => {
  assert.equal(prepareAt(record(0, DAY)), DAY / 2);
  assert.equal(prepareAt(record(0, 60 * DAY)), 30 * DAY);
  assert.equal(prepareAt(record(0, 365 * DAY)), 335 * DAY);
});

test('a successor signs when a sixth of the life is left, or 7 days', () => {
  assert.equal(activateAt(record(0, DAY), record(DAY / 2, 2 * DAY), 300), DAY - DAY / 6);
  assert.equal(activateAt(record(0, 365 * DAY), record(335 * DAY, 700 * DAY), 300), 358 * DAY);
});

test('a successor that was made late signs only after it could be learned of, but before the other ends', () => {
  assert.equal(activateAt(record(0, DAY), record(DAY - 3600, 2 * DAY), 300), DAY - 3600 + 300);
  assert.equal(activateAt(record(0, DAY), record(DAY - 60, 2 * DAY), 300), DAY);
  assert.equal(activateAt(record(0, 120), record(100, 240), 300), 110);
});

test('the steps in turn', () => {
  const active = record(0, DAY);
  const prepared = record(DAY / 2, DAY * 1.5);
  assert.equal(dueStep({}, 0, 300), 'replace');
  assert.equal(dueStep({ prepared }, DAY, 300), 'activate');
  assert.equal(dueStep({ active }, DAY / 2 - 1, 300), undefined);
  assert.equal(dueStep({ active }, DAY / 2, 300), 'prepare');
  assert.equal(dueStep({ active, prepared }, DAY / 2, 300), undefined);
  assert.equal(dueStep({ active, prepared }, DAY - DAY / 6, 300), 'activate');
  assert.equal(dueStep({ active, prepared }, DAY, 300), 'activate');
  assert.equal(dueStep({ active, prepared }, 2 * DAY, 300), 'replace');
  assert.equal(dueStep({ active }, 2 * DAY, 300), 'replace');
});

test('a prepared authority that has ended counts as none', () => {
  const active = record(0, 100 * DAY);
  assert.equal(dueStep({ active, prepared: record(0, DAY) }, 80 * DAY, 300), 'prepare');
});

test('the next step is asked for exactly when there is one', () => {
  const active = record(0, DAY);
  const prepared = record(DAY / 2, DAY * 1.5);
  for (const state of [{ active }, { active, prepared }]) {
    const at = nextStepAt(state, 300);
    assert.equal(dueStep(state, at - 1, 300), undefined);
    assert.notEqual(dueStep(state, at, 300), undefined);
  }
  assert.equal(nextStepAt({}, 300), 0);
});

test('an old authority is published until a minute after its end', () => {
  assert.equal(forgetAt(record(0, DAY)), DAY + 60);
});
