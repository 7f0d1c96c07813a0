import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AGENT_PREFIX, agentFiles } from '../../../src/measure/appraise/agent-files.js';
import type { FileReference, ReferenceSet } from '../../../src/measure/policy/model.js';

const digest = (n: number) => `sha256:${n.toString(16).padStart(64, '0')}` as const;
const own = (name: string, n: number): FileReference => ({
  path: `${AGENT_PREFIX}${name}`,
  digest: digest(n),
});
const set = (...files: FileReference[]) => ({ files }) as unknown as ReferenceSet;
const seen = (files: ReturnType<typeof agentFiles>, ...shown: FileReference[]) =>
  new Set(shown.flatMap((one) => files.answeredBy(one.digest as never, one.path)));

test('what is missing is what the nearest version lacks, one digest of each path being enough', () => {
  const files = agentFiles(
    [
      set(own('agent.js', 1), own('agent.js', 2), own('lib.js', 3)),
      set(own('agent.js', 4), own('new.js', 5)),
    ],
    undefined,
  );
  assert.deepEqual(files.missing(new Set()), [`${AGENT_PREFIX}agent.js`, `${AGENT_PREFIX}lib.js`]);
  assert.deepEqual(files.missing(seen(files, own('agent.js', 2))), [`${AGENT_PREFIX}lib.js`]);
  assert.deepEqual(files.missing(seen(files, own('agent.js', 2), own('lib.js', 3))), []);
  assert.deepEqual(files.missing(seen(files, own('new.js', 5))), [`${AGENT_PREFIX}agent.js`]);
  assert.deepEqual(files.missing(seen(files, own('agent.js', 9), own('lib.js', 9))), [
    `${AGENT_PREFIX}agent.js`,
    `${AGENT_PREFIX}lib.js`,
  ]);
});

test('the same question has the same answer, and a longer list a new one', () => {
  const files = agentFiles([set(own('agent.js', 1), own('lib.js', 2))], undefined);
  const first = seen(files, own('agent.js', 1));
  const missing = files.missing(first);
  assert.equal(files.missing(first), missing);
  assert.deepEqual(files.missing(new Set([...first, ...seen(files, own('lib.js', 2))])), []);
});

test('references that name nothing of the agent have no version', () => {
  const files = agentFiles([set({ path: '/usr/bin/true', digest: digest(1) })], undefined);
  assert.equal(files.missing(new Set()), undefined);
});
