import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { impactText } from '../../../src/cli/server/measure-view.js';
import { ImpactSchema } from '../../../src/wire/gen/touchmark/measure/v1/measure_pb.js';

test('who is lost when accept-next ends is named beforehand, also where nothing changes now', () => {
  const later = { lostAtEnd: 3, lostAtEndHosts: ['web-1', 'web-2'], lostAtEndFrom: 1_796_103_600n };
  const lines = impactText(create(ImpactSchema, { hosts: 4, good: 4, ...later })).split('\n');
  assert.deepEqual(lines, [
    'No host is judged otherwise.',
    'warning: from 2026-12-01T05:40:00Z on, when acceptNext ends, 3 hosts would lose their trust: web-1, web-2, and 1 more; name what they show in references before',
  ]);
  const affected = impactText(create(ImpactSchema, { hosts: 4, good: 4, affected: 4, ...later }));
  assert.match(affected, /^4 of 4 hosts are judged otherwise; .*\nwarning: from /);
});

test('what the brake would hold is told', () => {
  const text = impactText(
    create(ImpactSchema, { affected: 1, hosts: 1, good: 1, lost: 1, held: true, blastRadius: 10 }),
  );
  assert.match(text, /1 would lose their trust or identities, .*\nheld: more than 10 % of the good hosts/);
});
