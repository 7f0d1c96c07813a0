import assert from 'node:assert/strict';
import { test } from 'node:test';
import { auditEvents, auditFields } from '../../../src/events.js';
import { createLogger } from '../../../src/log.js';
import { createAudit } from '../../../src/server/access/audit.js';
import { auditNodeEvents } from '../../../src/server/nodes/audit.js';
import { parseSpiffeId } from '../../../src/spiffe/id.js';
import { manualClock } from '../../fakes/manual-clock.js';

function recorded(enabled = true) {
  const lines: Record<string, unknown>[] = [];
  const write = (line: string) => void lines.push(JSON.parse(line));
  const log = createLogger({ format: 'json', write, clock: manualClock(), journal: false });
  return { lines, audit: createAudit(log, enabled) };
}

const call = {
  requestId: 'r-1',
  method: '/a.B/C',
  caller: { via: 'unix', uid: 7, gid: 8, pid: 9, role: undefined },
  status: 'OK',
  message: '',
  fields: {},
  milliseconds: 1.6,
} as const;

test('a call is one line with caller, method and outcome', () => {
  const { lines, audit } = recorded();
  audit.call({ ...call, fields: { count: 3 } });
  const [{ time, level, message, ...line } = {}] = lines;
  assert.deepEqual([level, message, typeof time], ['info', 'rpc', 'string']);
  assert.deepEqual(line, {
    ...{ type: 'audit', event: 'rpc', request_id: 'r-1', method: '/a.B/C', status: 'OK', milliseconds: 2 },
    ...{ caller_uid: 7, caller_gid: 8, caller_pid: 9, count: 3 },
  });
});

test('a TLS caller is named by its address, and by its ID only when that was verified', () => {
  const { lines, audit } = recorded();
  const nobody = {
    via: 'tls',
    address: '10.0.0.1',
    svid: undefined,
    refusal: undefined,
    role: undefined,
  } as const;
  audit.call({ ...call, caller: nobody, status: 'PERMISSION_DENIED', message: 'no' });
  const svid = {
    id: parseSpiffeId('spiffe://example.org/x'),
    serial: '1',
    expiresAt: 1,
    tainted: false,
    withdrawn: false,
  };
  audit.call({ ...call, caller: { ...nobody, svid } });
  assert.deepEqual(
    [lines[0]?.['caller_addr'], lines[0]?.['caller_id'], lines[0]?.['status_message']],
    ['10.0.0.1', undefined, 'no'],
  );
  assert.equal(lines[1]?.['caller_id'], 'spiffe://example.org/x');
});

test('long lists are cut', () => {
  const { lines, audit } = recorded();
  audit.call({ ...call, fields: { entry_ids: Array.from({ length: 500 }, String) } });
  const ids: unknown = lines[0]?.['entry_ids'];
  assert.equal(Array.isArray(ids) && ids.length, 20);
});

test('an audit log that is off writes nothing', () => {
  const { lines, audit } = recorded(false);
  audit.call(call);
  audit.event('server_started', {});
  assert.deepEqual(lines, []);
});

test('what happens to nodes and hosts is written, and the code of an approval is not', () => {
  const { lines, audit } = recorded();
  const tell = auditNodeEvents(audit);
  const nodeId = parseSpiffeId('spiffe://example.org/spire/agent/x/1');
  tell({
    name: 'node_attested',
    nodeId,
    type: 'tpm',
    address: '10.0.0.1',
    serial: 'ab',
    attestationNumber: 2,
  });
  tell({ name: 'host_enrolled', hostId: 'h', enrolledBy: 'allow-list' });
  tell({ name: 'host_waits', hostId: 'h', code: 'SECRET-CODE', address: '10.0.0.2' });
  tell({ name: 'host_suspect', hostId: 'h', reasons: [{ code: 'clock_fell', message: 'it fell' }] });
  tell({ name: 'node_seen_twice', nodeId, addresses: ['a', 'b'] });
  tell({ name: 'host_changed', hostId: 'h', change: 'banned', by: 'uid 0' });
  const names = lines.map((line) => line['event']);
  assert.deepEqual(names, [
    'node_attested',
    'host_enrolled',
    'host_waits',
    'host_suspect',
    'node_seen_twice',
    'host_changed',
  ]);
  assert.deepEqual([lines[0]?.['agent_id'], lines[0]?.['attestation_number']], [nodeId, 2]);
  assert.deepEqual(lines[3]?.['reasons'], ['clock_fell']);
  assert.ok(!JSON.stringify(lines).includes('SECRET-CODE'));
});

test('every event and field is declared in one style, with a sentence', () => {
  for (const [name, sentence] of Object.entries({ ...auditEvents, ...auditFields })) {
    assert.match(name, /^[a-z0-9]+(_[a-z0-9]+)*$/);
    assert.match(sentence, /^[A-Z].*\.$/);
  }
});
