import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { primaryOf } from '../../../src/server/hosts/enrol.js';
import { checkHostName, checkLabels, readEkHash } from '../../../src/server/hosts/names.js';
import { createApprovalQueue } from '../../../src/server/hosts/queue.js';
import { hostSelectors } from '../../../src/server/hosts/selectors.js';
import type { Host, HostEk } from '../../../src/server/model.js';
import { formatSelector } from '../../../src/spiffe/selector.js';
import { manualClock } from '../../fakes/manual-clock.js';
import { throwsCode } from '../../support/rejects.js';

const limits = { perAddress: 2, total: 3, ttl: 60 };
const address = '192.0.2.1';

function ekOf(hash: string, algorithm = 'p256', change: Partial<HostEk> = {}): HostEk {
  const nothing = {
    manufacturer: '',
    model: '',
    firmware: '',
    issuer: '',
    anchor: '',
    notAfter: 0,
    deviations: [],
  };
  return { hash, algorithm, ...nothing, ...change };
}

describe('the queue of approvals', () => {
  it('keeps code and first sight of a chip that comes again, and expires what does not', () => {
    const clock = manualClock();
    const queue = createApprovalQueue(limits, clock);
    const code = queue.codeFor('aa');
    const first = queue.add({ id: 'aa', eks: [ekOf('aa')], code, address });
    clock.advance(30_000);
    assert.equal(queue.codeFor('aa'), code);
    const again = queue.add({ id: 'aa', eks: [ekOf('aa')], code: 'OTHER', address });
    assert.deepEqual(
      [again.code, again.firstSeen, again.expiresAt],
      [code, first.firstSeen, clock.now() + 60_000],
    );
    clock.advance(59_999);
    assert.equal(queue.waiting().length, 1);
    clock.advance(1);
    assert.deepEqual(queue.waiting(), []);
    assert.notEqual(queue.codeFor('aa'), code);
  });

  it('finds a code however it was typed, and not once it was denied', () => {
    const queue = createApprovalQueue(limits, manualClock());
    queue.add({ id: 'aa', eks: [], code: '0AB1-CDEF', address });
    for (const typed of ['0AB1-CDEF', '0ab1cdef', 'oabl-cdef', ' 0AB1 CDEF '])
      assert.equal(queue.byCode(typed)?.id, 'aa');
    queue.deny('aa');
    assert.equal(queue.byCode('0AB1-CDEF'), undefined);
    assert.equal(queue.byId('aa')?.denied, true);
    queue.remove('aa');
    assert.equal(queue.byId('aa'), undefined);
  });

  it('has room for so many of an address and in all', () => {
    const queue = createApprovalQueue(limits, manualClock());
    const add = (id: string, from: string) => queue.add({ id, eks: [], code: id, address: from });
    add('a', 'x');
    add('b', 'x');
    add('a', 'x');
    throwsCode('enrolment_queue_full', /^2 hosts from x wait/, () => add('c', 'x'));
    add('c', 'y');
    throwsCode('enrolment_queue_full', /^3 hosts wait/, () => add('d', 'z'));
  });
});

describe('names of hosts', () => {
  it('read a hash with colons and in capitals', () => {
    assert.equal(readEkHash(` ${'AB:'.repeat(31)}AB `), 'ab'.repeat(32));
    throwsCode('ek_hash_invalid', /is not the hash/, () => readEkHash('g'.repeat(64)));
  });

  it('accept plain names and labels', () => {
    for (const name of ['', 'edge-1', 'a.b.example', 'X_1']) assert.equal(checkHostName(name), name);
    const labels = { site: 'north hall', 'topology.example/rack': '7', owner: 'Zoë' };
    assert.equal(checkLabels(labels), labels);
    for (const name of ['-a', 'a/b', 'é', 'a'.repeat(254)]) {
      throwsCode('host_name_invalid', /is not a name/, () => checkHostName(name), name);
    }
  });
});

describe('what a host is known by', () => {
  it('the key that names it does not depend on the order in which they are shown', () => {
    const eks = [ekOf('03', 'rsa2048'), ekOf('02', 'p384'), ekOf('01', 'p521'), ekOf('09', 'p256')];
    for (const order of [eks, [...eks].reverse()]) assert.equal(primaryOf(order).hash, '09');
    assert.equal(primaryOf(eks.slice(0, 3)).hash, '03');
    assert.equal(primaryOf(eks.slice(1, 3)).hash, '02');
    throwsCode('enrolment_refused', /shows no endorsement key$/, () => primaryOf([]));
  });

  it('its selectors are sorted, without repetition and without empty ones', () => {
    const host: Host = {
      ...{ id: '01', name: 'n', labels: { z: '1', a: '2' }, state: 'unmeasured', stateSince: 0, reasons: [] },
      ...{ graceEndsAt: 0, akName: '', attestationNumber: 1, enrolledBy: '', enrolledAt: 0 },
      eks: [
        ekOf('01', 'p256', { manufacturer: 'IFX', model: 'm' }),
        ekOf('02', 'rsa2048', { manufacturer: 'IFX' }),
      ],
    };
    assert.deepEqual(hostSelectors(host).map(formatSelector), [
      'host:label:a:2',
      'host:label:z:1',
      'tpm:ek_hash:01',
      'tpm:ek_hash:02',
      'tpm:manufacturer:IFX',
      'tpm:model:m',
    ]);
  });
});
