import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TouchmarkError } from '../../../src/errors.js';
import { type DownstreamDeps, downstreamCaller } from '../../../src/server/api/downstream.js';
import type { ApiCall } from '../../../src/server/api/service.js';
import type { Registry } from '../../../src/server/contract.js';
import { parseSpiffeId, type SpiffeId } from '../../../src/spiffe/id.js';
import { entryOf } from '../../support/entries.js';
import { throwsCode } from '../../support/rejects.js';
import { nodeOf } from '../hosts/records.js';

const id = parseSpiffeId('spiffe://example.org/nested');
const [good, bad] = ['good', 'bad'].map((type) => nodeOf(type));

/** Two nodes hold the entry: one that may have something and one that may not; `held` says whose the caller's serial is. */
function callerFrom(held: SpiffeId | undefined) {
  const nodes = new Map([bad, good].map((node) => [node?.id, node]));
  const registry = { nodesHolding: () => nodes.keys(), node: (name: SpiffeId) => nodes.get(name) };
  const deps: DownstreamDeps = {
    registry: registry as unknown as Registry,
    privileged: {
      isAdmin: () => false,
      downstreamEntries: (of) => (of === id ? [entryOf('e', undefined, { spiffeId: id })] : []),
      [Symbol.dispose]: () => {},
    },
    serials: { holderOf: (serial) => (serial === '40' ? held : undefined) },
    permitIssuance(node) {
      if (node.id !== good?.id) throw new TouchmarkError('node_stale', `${node.id} is stale`);
    },
  };
  return (of: SpiffeId) => {
    const svid = { id: of, serial: '40', expiresAt: 0, tainted: false, withdrawn: false };
    const caller = { via: 'tls', address: '', svid, refusal: undefined, role: undefined };
    return downstreamCaller(deps, { caller } as unknown as ApiCall);
  };
}

test('a downstream server is on the node that its SVID was issued to, and that node must be good', () => {
  assert.deepEqual(callerFrom(good?.id)(id), { id, node: good?.id });
  throwsCode('node_stale', /agent\/bad\/ab is stale/, () => callerFrom(bad?.id)(id));
});

test('of an SVID that was issued to no node nothing is known but that one of them is good', () => {
  assert.deepEqual(callerFrom(undefined)(id), { id, node: undefined });
});

test('who has no downstream entry is no downstream server', () => {
  const other = parseSpiffeId('spiffe://example.org/other');
  throwsCode('permission_denied', /no downstream entry/, () => callerFrom(good?.id)(other));
});
