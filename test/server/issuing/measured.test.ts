import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { awaitMeasured, checkMeasured, type MeasuredDeps } from '../../../src/server/issuing/measured.js';
import type { Node } from '../../../src/server/model.js';
import { parseSpiffeId } from '../../../src/spiffe/id.js';
import { entryOf } from '../../support/entries.js';
import { throwsCode } from '../../support/rejects.js';

const digest = `sha256:${'ab'.repeat(32)}`;
const measuredEntry = entryOf('m', [`binary:${digest}`, 'binary:measured:true', 'unix:uid:0']);
const plainEntry = entryOf('p', [`binary:${digest}`]);
const node: Node = {
  id: parseSpiffeId('spiffe://example.org/spire/agent/tpm/aa'),
  attestationType: 'tpm',
  selectors: [],
  serial: '01',
  nextSerial: '',
  svidExpiresAt: 0,
  canReattest: true,
  banned: false,
  agentVersion: '',
  attestationNumber: 1,
  hostId: 'aa',
};

function listOf(...held: string[]): MeasuredDeps & { asked: [string, number][]; add(digest: string): void } {
  const list = new Set(held);
  const asked: [string, number][] = [];
  return {
    asked,
    add: (one) => list.add(one),
    isMeasured: (hostId, one) => hostId === 'aa' && list.has(one),
    freshEvidence: async (hostId, within) => {
      asked.push([hostId, within]);
      return true;
    },
  };
}

describe('signing for a measured binary', () => {
  test('is refused while its digest is not in the list of the host', () => {
    throwsCode('binary_not_measured', /the binary sha256:abab.* is not in the list .* host aa/, () =>
      checkMeasured(listOf(), node, measuredEntry),
    );
  });

  test('is allowed once it is', () => {
    checkMeasured(listOf(digest), node, measuredEntry);
  });

  test('asks nothing of an entry that does not speak of measuring', () => {
    checkMeasured(listOf(), node, plainEntry);
  });

  test('is refused to a node without a TPM', () => {
    const { hostId: _, ...without } = node;
    throwsCode('binary_not_measured', /node .* has no TPM that vouches/, () =>
      checkMeasured(listOf(digest), without, measuredEntry),
    );
  });
});

describe('waiting for a program that was just started', () => {
  test('asks the host once, however many entries lack it', async () => {
    const list = listOf();
    await awaitMeasured(list, node, [plainEntry, measuredEntry, undefined, { ...measuredEntry, id: 'n' }]);
    assert.deepEqual(list.asked, [['aa', 5_000]]);
  });

  test('does not ask when all is in the list, or nothing has to be', async () => {
    const list = listOf(digest);
    await awaitMeasured(list, node, [measuredEntry]);
    await awaitMeasured(listOf(), node, [plainEntry]);
    assert.deepEqual(list.asked, []);
  });
});
