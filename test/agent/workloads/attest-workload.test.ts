import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Workload, WorkloadAttestor } from '../../../src/agent/workload-attestors/contract.js';
import { createWorkloadAttestation } from '../../../src/agent/workloads/attest-workload.js';
import { TouchmarkError } from '../../../src/errors.js';
import { openProcess } from '../../../src/host/process-handle.js';
import { parseSelector } from '../../../src/spiffe/selector.js';
import { rejectsCode } from '../../support/rejects-async.js';

const never = new AbortController().signal;
const uid = process.getuid?.() ?? 0;
const gid = process.getgid?.() ?? 0;

function self(): Workload {
  return { pid: process.pid, uid, gid, groups: [], process: openProcess(process.pid) };
}

describe('attesting a workload', () => {
  const says = (...selectors: string[]): WorkloadAttestor => ({
    name: selectors[0] ?? '',
    attest: async () => selectors.map(parseSelector),
  });
  const fails = (code: 'unit_unknown' | 'hash_changed'): WorkloadAttestor => ({
    name: code,
    attest() {
      throw new TouchmarkError(code, `it is ${code}`);
    },
  });

  test('selectors of all attestors come sorted and once', async () => {
    const workload = self();
    const { attest } = createWorkloadAttestation([
      says('unix:uid:2', 'unix:gid:1'),
      says('a:b', 'unix:gid:1'),
    ]);
    const { selectors, attestors } = await attest(workload, never);
    assert.deepEqual(
      selectors.map(({ type, value }) => `${type}:${value}`),
      ['a:b', 'unix:gid:1', 'unix:uid:2'],
    );
    assert.ok(attestors.every(({ failed, error }) => !failed && error === undefined));
    workload.process.close();
  });

  test('one that fails leaves the others’ selectors; one with nothing to tell has not failed', async () => {
    const workload = self();
    const { attest } = createWorkloadAttestation([says('a:b'), fails('unit_unknown'), fails('hash_changed')]);
    const { selectors, attestors } = await attest(workload, never);
    assert.equal(selectors.length, 1);
    assert.deepEqual(
      attestors.map(({ failed }) => failed),
      [false, false, true],
    );
    assert.match(attestors[1]?.error ?? '', /unit_unknown/);
    workload.process.close();
  });

  test('it fails only when nothing could be told and something failed', async () => {
    const workload = self();
    assert.deepEqual(
      (await createWorkloadAttestation([fails('unit_unknown')]).attest(workload, never)).selectors,
      [],
    );
    const both = createWorkloadAttestation([fails('unit_unknown'), fails('hash_changed')]);
    await rejectsCode(
      'workload_attestation_failed',
      /workload attestation failed/,
      both.attest(workload, never),
    );
    workload.process.close();
  });

  test('a process with other ids than its socket’s, or one that has ended, is refused before and after', async () => {
    const workload = self();
    const asked: string[] = [];
    const counting: WorkloadAttestor = {
      name: 'counting',
      async attest() {
        asked.push('asked');
        return [parseSelector('a:b')];
      },
    };
    const { attest } = createWorkloadAttestation([counting]);
    await rejectsCode('peer_changed', /no longer runs as/, attest({ ...workload, uid: uid + 1 }, never));
    await rejectsCode('peer_changed', /no longer runs as/, attest({ ...workload, gid: gid + 1 }, never));
    await rejectsCode('peer_gone', /ended/, attest({ ...workload, pid: 4_194_305 }, never));
    assert.deepEqual(asked, []);
    workload.process.close();
    await rejectsCode('peer_gone', /has ended/, attest(workload, never));
    assert.deepEqual(asked, []);
    let looks = 0;
    const dying = self();
    const process = { ...dying.process, alive: () => ++looks === 1 };
    await rejectsCode('peer_gone', /has ended/, attest({ ...dying, process }, never));
    assert.deepEqual(asked, ['asked']);
    dying.process.close();
  });
});
