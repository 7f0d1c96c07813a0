import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Kind, Records, Write } from '../../../src/server/datastores/contract.js';
import type { AppraisalRecord, AuthorityRecord, Host, Node } from '../../../src/server/model.js';
import { eventsOf, isRecorded } from '../../../src/server/record/derive.js';
import { recordEvents } from '../../../src/server/record/names.js';
import { parseSpiffeId } from '../../../src/spiffe/id.js';
import { entryOf } from '../../support/entries.js';

const id = 'a1'.repeat(32);

const host: Host = {
  ...{ id, name: 'web-1', labels: { rack: 'r7' }, eks: [], state: 'trusted', stateSince: 1, reasons: [] },
  ...{ graceEndsAt: 0, akName: '000b11', attestationNumber: 1, enrolledBy: 'uid 0', enrolledAt: 1 },
};

const appraisal: AppraisalRecord = {
  ...{
    verdict: 'trusted',
    since: 1,
    at: 1,
    evidenceId: 'e1',
    policyId: 'p1',
    policyName: 'servers',
    group: 'all',
  },
  components: [{ component: 'runtime', result: 'pass', reasons: [], more: 0, checked: 10 }],
};

const unknownFile = {
  code: 'file_unknown',
  message: '/tmp/x is not known',
  value: 'sha256:00',
  log: 'ima-list',
  event: 9,
} as const;

const node: Node = {
  id: parseSpiffeId('spiffe://example.org/spire/agent/tpm/a1'),
  ...{
    attestationType: 'tpm',
    selectors: [],
    serial: '01',
    nextSerial: '',
    svidExpiresAt: 1,
    canReattest: true,
  },
  ...{ banned: false, agentVersion: '1', attestationNumber: 1, hostId: id },
};

const authority: AuthorityRecord = {
  ...{ id: 'k1', purpose: 'jwt', slot: 'prepared', tainted: false, keyName: 'secret-name', chain: [] },
  ...{ published: 'AAAA', upstreamAuthorityId: '', issuedAt: 1, expiresAt: 2 },
};

/** Names and fields of what a change of one record is. */
function derived<K extends Kind>(kind: K, before: Records[K] | undefined, after: Records[K] | undefined) {
  const write = (
    after === undefined ? { kind, key: 'key', deleted: true } : { kind, key: 'key', value: after }
  ) as Write;
  return eventsOf(write, before).map(({ name, fields }) => [name, fields] as const);
}

function names<K extends Kind>(kind: K, before: Records[K] | undefined, after: Records[K] | undefined) {
  return derived(kind, before, after).map(([name]) => name);
}

test('a host is recorded from its enrolment to its end', () => {
  assert.deepEqual(names('host', undefined, host), ['host_enrolled']);
  assert.deepEqual(names('host', undefined, { ...host, appraisal }), [
    'host_enrolled',
    'host_verdict_changed',
  ]);
  assert.deepEqual(derived('host', host, undefined), [
    ['host_forgotten', { name: 'web-1', state: 'trusted' }],
  ]);
});

test('a state is recorded with where it came from and why', () => {
  const reasons = [{ code: 'quarantine', message: 'disk was pulled' }];
  const after: Host = { ...host, state: 'quarantined', reasons };
  const fields = { from: 'trusted', to: 'quarantined', reasons: ['quarantine: disk was pulled'] };
  assert.deepEqual(derived('host', host, after), [['host_state_changed', fields]]);
  const other = { ...after, reasons: [{ code: 'other', message: 'x' }] };
  assert.deepEqual(names('host', after, other), ['host_reasons_changed']);
  const worded = { ...after, reasons: [{ code: 'quarantine', message: 'in other words' }] };
  assert.deepEqual(names('host', after, worded), []);
});

test('what every attestation moves is no event: counters, times, the last quote of one boot', () => {
  const quote = {
    at: 1,
    resetCount: 4,
    restartCount: 0,
    clock: '5',
    safe: true,
    firmwareVersion: '0',
    bank: 'sha256',
    pcrs: {},
  };
  const before: Host = { ...host, lastQuote: quote, appraisal };
  const after: Host = {
    ...before,
    attestationNumber: 2,
    lastQuote: { ...quote, at: 2, clock: '9' },
    appraisal: {
      ...appraisal,
      at: 2,
      evidenceId: 'e2',
      components: appraisal.components.map((c) => ({ ...c, checked: 11 })),
    },
  };
  assert.deepEqual(names('host', before, after), []);
  const rebooted = { ...after, lastQuote: { ...quote, resetCount: 5 } };
  assert.deepEqual(derived('host', before, rebooted), [
    ['host_rebooted', { reset_count: '5', reset_count_before: '4' }],
  ]);
});

test('a judgement is recorded when it comes out otherwise, with the components and what they point to', () => {
  const before: Host = { ...host, appraisal };
  const after: Host = {
    ...host,
    appraisal: {
      ...appraisal,
      verdict: 'drifted',
      components: [{ component: 'runtime', result: 'fail', reasons: [unknownFile], more: 0, checked: 11 }],
    },
  };
  assert.deepEqual(derived('host', before, after), [
    [
      'host_verdict_changed',
      {
        ...{
          from: 'trusted',
          to: 'drifted',
          policy: 'servers',
          policy_id: 'p1',
          group: 'all',
          evidence_id: 'e1',
        },
        components: ['runtime=fail'],
        reasons: ['runtime file_unknown: /tmp/x is not known (sha256:00)'],
      },
    ],
  ]);
  assert.deepEqual(names('host', before, { ...host, appraisal: { ...appraisal, policyId: 'p2' } }), [
    'host_verdict_changed',
  ]);
});

test('name and labels are recorded as they were and are', () => {
  const after = { ...host, name: 'web-one', labels: { rack: 'r9' } };
  assert.deepEqual(derived('host', host, after), [
    [
      'host_changed',
      { changed: ['name', 'labels'], name: 'web-one', name_before: 'web-1', labels: ['rack=r9'] },
    ],
  ]);
  const allowed = { hash: id, name: 'n', labels: {}, allowedBy: 'uid 0', allowedAt: 1 };
  assert.deepEqual(names('allowed_ek', undefined, allowed), ['host_allowed']);
  assert.deepEqual(names('allowed_ek', allowed, undefined), ['host_allowance_removed']);
});

test('a node is recorded when it comes, when its facts change, when it is banned and when it goes; not when it renews', () => {
  assert.deepEqual(names('node', undefined, node), ['node_attested']);
  assert.deepEqual(
    names('node', node, { ...node, serial: '02', nextSerial: '03', svidExpiresAt: 9, attestationNumber: 2 }),
    [],
  );
  const selectors = [{ type: 'tpm', value: 'model:x' }];
  const [[name, fields] = []] = derived('node', node, { ...node, selectors });
  assert.deepEqual(
    [name, fields?.['changed'], fields?.['selectors']],
    ['node_changed', ['selectors'], ['tpm:model:x']],
  );
  assert.deepEqual(names('node', node, { ...node, banned: true }), ['node_banned']);
  assert.deepEqual(names('node', { ...node, banned: true }, node), ['node_unbanned']);
  assert.deepEqual(derived('node', node, undefined), [['node_evicted', { host: id }]]);
});

test('an authority is recorded in every step of its life; a JWT one with its public key, and never the name of the private one', () => {
  const [[name, fields] = []] = derived('authority', undefined, authority);
  assert.deepEqual([name, fields?.['spki'], fields?.['purpose']], ['authority_added', 'AAAA', 'jwt']);
  const x509 = derived('authority', undefined, { ...authority, purpose: 'x509', slot: 'active' });
  assert.deepEqual(
    x509.map(([one]) => one),
    ['authority_added', 'authority_activated'],
  );
  assert.match(String(x509[0]?.[1]['certificate_sha256']), /^[0-9a-f]{64}$/);
  const active: AuthorityRecord = { ...authority, slot: 'active' };
  const old: AuthorityRecord = { ...authority, slot: 'old' };
  assert.deepEqual(names('authority', authority, active), ['authority_activated']);
  assert.deepEqual(names('authority', active, old), ['authority_retired']);
  assert.deepEqual(names('authority', old, { ...old, tainted: true }), ['authority_tainted']);
  assert.deepEqual(names('authority', old, { ...old, keyName: '' }), ['authority_changed']);
  assert.deepEqual(names('authority', old, undefined), ['authority_removed']);
  assert.equal(JSON.stringify(derived('authority', undefined, authority)).includes('secret-name'), false);
});

test('an entry is recorded by digests and names of members', () => {
  const entry = entryOf('e1');
  const [[made, fields] = []] = derived('entry', undefined, entry);
  assert.deepEqual([made, fields?.['spiffe_id']], ['entry_created', entry.spiffeId]);
  const [[name, change] = []] = derived('entry', entry, {
    ...entry,
    hint: 'h',
    admin: true,
    revisionNumber: 1,
  });
  assert.deepEqual(
    [name, change?.['changed'], change?.['sha256_before']],
    ['entry_updated', ['admin', 'hint'], fields?.['sha256']],
  );
  assert.deepEqual(names('entry', entry, { ...entry, revisionNumber: 1 }), []);
  assert.deepEqual(names('entry', entry, undefined), ['entry_deleted']);
});

test('bundles, policies, withdrawals and tokens are recorded', () => {
  const bundle = {
    trustDomain: 'example.com',
    x509Authorities: [],
    jwtAuthorities: [],
    refreshHint: 0,
    sequence: '1',
  };
  assert.deepEqual(names('bundle', undefined, bundle), ['bundle_set']);
  assert.deepEqual(names('bundle', bundle, { ...bundle }), []);
  assert.deepEqual(names('bundle', bundle, undefined), ['bundle_deleted']);
  const head = { hash: 'h1', at: 1, by: 'uid 0' };
  assert.deepEqual(names('measure_head', undefined, head), ['measure_published']);
  assert.deepEqual(names('measure_head', head, { ...head, at: 2 }), []);
  assert.deepEqual(derived('measure_head', head, undefined), [
    ['measure_unpublished', { hash_before: 'h1' }],
  ]);
  const withdrawal = {
    nodeId: node.id,
    hostId: id,
    issuedBefore: 1000,
    reasons: [{ code: 'drifted', message: 'm' }],
    until: 2000,
  };
  assert.deepEqual(derived('withdrawal', undefined, withdrawal), [
    [
      'identities_withdrawn',
      {
        host: id,
        issued_before: '1970-01-01T00:00:01.000Z',
        until: '1970-01-01T00:00:02.000Z',
        reasons: ['drifted: m'],
      },
    ],
  ]);
  assert.deepEqual(names('withdrawal', withdrawal, { ...withdrawal, until: 3000 }), ['withdrawal_changed']);
  assert.deepEqual(names('withdrawal', withdrawal, { ...withdrawal }), []);
  assert.deepEqual(names('withdrawal', withdrawal, undefined), ['withdrawal_ended']);
  const token = eventsOf(
    { kind: 'join_token', key: 'ab'.repeat(32), value: { hash: 'ab'.repeat(32), expiresAt: 5 } },
    undefined,
  );
  assert.deepEqual(
    token.map(({ name, subject }) => [name, subject]),
    [['join_token_made', 'ab'.repeat(8)]],
  );
});

test('bookkeeping is not recorded, and every name that is derived is declared', () => {
  const bookkeeping: Kind[] = [
    'entry_key',
    'host_ek',
    'evidence',
    'evidence_log',
    'serial_block',
    'event',
    'meta',
  ];
  assert.deepEqual(bookkeeping.filter(isRecorded), []);
  const all = [...names('host', undefined, { ...host, appraisal }), ...names('node', node, undefined)];
  for (const name of all) assert.ok(Object.hasOwn(recordEvents, name), name);
});
