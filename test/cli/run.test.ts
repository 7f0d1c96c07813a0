import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runProgram } from '../../src/cli/run.js';
import type { Program, VerbContext } from '../../src/cli/verb.js';
import { TouchmarkError } from '../../src/errors.js';

function program(run: (context: VerbContext) => Promise<number | undefined>): Program {
  return {
    name: 'tool',
    summary: 'a tool under test.',
    verbs: [
      {
        name: 'entry create',
        summary: 'Create an entry.',
        example: 'tool entry create -spiffeID spiffe://example.org/web -selector unix:uid:1000',
        flags: [
          { name: 'spiffeID', type: 'string', doc: 'The identity.', required: true },
          { name: 'selector', type: 'strings', doc: 'A selector.' },
          { name: 'ttl', type: 'duration', doc: 'Life.', default: 600 },
          { name: 'admin', type: 'boolean', doc: 'Administrator.' },
          { name: 'count', type: 'integer', doc: 'How many.' },
          { name: 'socketPath', type: 'string', doc: 'Socket.', env: ['TOOL_SOCKET'] },
        ],
        args: [{ name: 'FILE', doc: 'A file.', optional: true }],
        run,
      },
      {
        name: 'entry show',
        summary: 'Show entries.',
        example: 'tool entry show',
        flags: [],
        run: async () => 0,
      },
    ],
  };
}

async function type(
  line: string,
  run: (context: VerbContext) => Promise<number | undefined> = async () => 0,
) {
  let stdout = '';
  let stderr = '';
  const code = await runProgram(program(run), line.split(' ').filter(Boolean), {
    stdout: (text) => {
      stdout += text;
    },
    stderr: (text) => {
      stderr += text;
    },
    environment: { TOOL_SOCKET: '/env.sock' },
    version: '1.2.3',
    signal: new AbortController().signal,
    readStdin: async () => '',
  });
  return { code, stdout, stderr };
}

test('flags are read with one dash or two, with a space or an equals sign, in any order', async () => {
  let seen: VerbContext | undefined;
  const line =
    'entry create file.json --spiffeID spiffe://a/b -selector unix:uid:1 -selector=unix:gid:2 -ttl 1h --admin -count=-3';
  const { code } = await type(line, async (context) => {
    seen = context;
    return undefined;
  });
  assert.equal(code, 0);
  assert.deepEqual(seen?.args, ['file.json']);
  assert.equal(seen?.flags.string('spiffeID'), 'spiffe://a/b');
  assert.deepEqual(seen?.flags.strings('selector'), ['unix:uid:1', 'unix:gid:2']);
  assert.equal(seen?.flags.integer('ttl'), 3600);
  assert.equal(seen?.flags.boolean('admin'), true);
  assert.equal(seen?.flags.integer('count'), -3);
  assert.equal(seen?.flags.string('socketPath'), '/env.sock');
});

test('wrong usage ends with 2, a sentence and a pointer to the help', async () => {
  const cases: [string, string][] = [
    ['entry create', '-spiffeID is required'],
    ['entry create -spifeID x', 'unknown flag -spifeID; did you mean "spiffeID"?'],
    ['entry create -spiffeID', '-spiffeID needs a value'],
    ['entry create -spiffeID x -ttl soon', '-ttl must be seconds or a duration such as 1h30m, not soon'],
    ['entry create -spiffeID x -count many', '-count must be a whole number, not many'],
    ['entry create -spiffeID x -admin=maybe', '-admin is true or false, not maybe'],
    ['entry create -spiffeID x a b', 'unexpected argument b'],
    ['entry show -output yaml', '-output must be one of pretty, json, not "yaml"'],
  ];
  for (const [line, message] of cases) {
    const { code, stdout, stderr } = await type(line);
    assert.equal(code, 2, line);
    assert.equal(stdout, '');
    assert.match(
      stderr,
      new RegExp(`: ${message.replace(/[?.]/g, '\\$&')}\nTry tool entry \\w+ --help\\.\n$`),
    );
  }
});

test('a failure ends with 1, its sentence and its remedy', async () => {
  const { code, stderr } = await type('entry show', async () => 0);
  assert.equal(code, 0);
  assert.equal(stderr, '');
  const failed = await type('entry create -spiffeID x', async () => {
    throw new TouchmarkError('selector_invalid', 'selector "x" is not type:value');
  });
  assert.equal(failed.code, 1);
  assert.equal(
    failed.stderr,
    'tool entry create: selector "x" is not type:value\nWrite a selector as type:value, for example unix:uid:1000.\n',
  );
});

test('results come in the form that was asked for', async () => {
  const run = async ({ out }: VerbContext) => {
    out.result({ pretty: 'two', json: { n: 2n } });
    return undefined;
  };
  assert.equal((await type('entry create -spiffeID x', run)).stdout, 'two\n');
  assert.equal((await type('entry create -spiffeID x -o json', run)).stdout, '{\n  "n": "2"\n}\n');
});

test('help is shown for the program, a group and a verb, each verb with its example', async () => {
  const whole = await type('--help');
  assert.equal(whole.code, 0);
  assert.match(whole.stdout, /entry create {2}Create an entry\./);
  const verb = await type('entry create --help');
  assert.equal(verb.code, 0);
  assert.match(verb.stdout, /Example: tool entry create -spiffeID/);
  assert.match(verb.stdout, /-ttl duration\n {8}Life\. \(default 600\)/);
  const nothing = await type('');
  assert.equal(nothing.code, 2);
  assert.equal(nothing.stdout, '');
});

test('an unknown verb names its neighbour', async () => {
  const { code, stderr } = await type('entry creat');
  assert.equal(code, 2);
  assert.equal(stderr, 'tool: unknown verb "entry creat"; did you mean "entry create"?\n');
});

test('the version is printed', async () => {
  assert.equal((await type('--version')).stdout, 'tool 1.2.3\n');
});
