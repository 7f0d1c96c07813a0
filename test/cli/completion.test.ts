import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { completionScript } from '../../src/cli/completion.js';
import type { Program } from '../../src/cli/verb.js';

const verb = (name: string) => ({
  name,
  summary: 'A verb.',
  example: '',
  flags: [{ name: 'spiffeID', type: 'string' as const, doc: 'x' }],
  run: async () => 0,
});
const program: Program = {
  name: 'tool-x',
  summary: '',
  verbs: ['entry create', 'entry show', 'run'].map(verb),
};

function complete(...words: string[]): string[] {
  const quoted = ['tool-x', ...words].map((word) => `'${word}'`).join(' ');
  const script = `${completionScript(program, 'bash')}
COMP_WORDS=(${quoted}); COMP_CWORD=${words.length}; _tool_x; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const run = spawnSync('bash', ['-c', script], { encoding: 'utf8' });
  assert.equal(run.stderr, '');
  return run.stdout.split('\n').filter(Boolean);
}

test('bash completes the words of a verb and then its flags', () => {
  assert.deepEqual(complete('e'), ['entry']);
  assert.deepEqual(complete('entry', ''), ['create', 'show']);
  assert.deepEqual(complete('entry', 'create', '-s'), ['-spiffeID']);
  assert.deepEqual(complete('entry', 'create', '-spiffeID', 'x', '-o'), ['-output']);
});

test('zsh and fish get scripts of their own', () => {
  assert.match(completionScript(program, 'zsh'), /^#compdef tool-x\n/);
  assert.match(completionScript(program, 'fish'), /complete -c tool-x -f .* -a 'create'/);
});
