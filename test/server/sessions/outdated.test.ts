import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '../../../src/log.js';
import type { Node, Reason } from '../../../src/server/model.js';
import type { NodeEvent } from '../../../src/server/nodes/events.js';
import { watchOutdated } from '../../../src/server/sessions/outdated.js';
import { parseSpiffeId } from '../../../src/spiffe/id.js';

const id = parseSpiffeId('spiffe://example.org/spire/agent/tpm/aa');
const svid = { id, serial: 'old', tainted: false } as unknown as Parameters<
  ReturnType<typeof watchOutdated>
>[0];

function watched(options: { live: boolean; hostId?: string }) {
  const suspected: [string, readonly Reason[]][] = [];
  const events: NodeEvent[] = [];
  const node = { id, ...(options.hostId === undefined ? {} : { hostId: options.hostId }) } as Node;
  const watch = watchOutdated({
    registry: { node: () => node },
    sessions: { isLive: () => options.live },
    hosts: {
      async suspect(hostId, reasons) {
        suspected.push([hostId, reasons]);
      },
    },
    onEvent: (event) => events.push(event),
    log: silentLogger(),
  });
  watch(svid, '192.0.2.1');
  return { suspected, events };
}

test('a replaced SVID beside a live session of the newer one shows a second agent', () => {
  const { suspected, events } = watched({ live: true, hostId: 'h' });
  const message = 'a replaced SVID of the node was used while its newer one was in use';
  assert.deepEqual(suspected, [['h', [{ code: 'cloned-or-cleared', message }]]]);
  assert.deepEqual(events, [{ name: 'node_seen_twice', nodeId: id, addresses: ['192.0.2.1'] }]);
});

test('without such a session it may be an agent whose answer was lost', () => {
  assert.deepEqual(watched({ live: false, hostId: 'h' }), { suspected: [], events: [] });
});

test('a node without a chip has no host to be suspected', () => {
  assert.deepEqual(watched({ live: true }), { suspected: [], events: [] });
});
