import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readManifest } from '../../src/cli/manifest.js';
import { formatProblem } from '../../src/config/problem.js';

const problemsOf = (text: string) => readManifest('w.yaml', text).problems.map(formatProblem);
const good = `kind: Entry
spiffeId: spiffe://example.org/web
parentId: spiffe://example.org/host/web-1
selectors: ["unix:user:www-data"]
`;

test('documents, lists and JSON all declare entries', () => {
  const { entries, problems } = readManifest(
    'w.yaml',
    `# first\n${good}x509SvidTtl: 600\n---\n${good.replace('/web\n', '/api\n')}---\n# nothing\n`,
  );
  assert.deepEqual(problems, []);
  assert.deepEqual(
    entries.map((entry) => [entry.spiffeId, entry.x509SvidTtl, entry.admin]),
    [
      ['spiffe://example.org/web', 600, false],
      ['spiffe://example.org/api', 0, false],
    ],
  );
  const item = {
    kind: 'Entry',
    spiffeId: 'spiffe://example.org/web',
    parentId: 'spiffe://example.org/h',
    selectors: [{ type: 'unix', value: 'uid:0:x' }],
    dnsNames: ['a'],
    expiresAt: 1,
  };
  const list = readManifest('w.json', JSON.stringify([item, { ...item, hint: 'x' }], null, 1));
  assert.deepEqual(list.problems, []);
  assert.deepEqual(list.entries[0]?.selectors, [{ type: 'unix', value: 'uid:0:x' }]);
});

test('every problem is told at once, each with its place', () => {
  const text = `kind: Entry
spiffeID: spiffe://example.org/web
parentId: example.org
selectors:
  - unix
x509SvidTtl: 1.5
admin: "yes"
---
kind: Policy
---
- just
---
kind: Entry
spiffeId: spiffe://example.org/web
parentId: spiffe://example.org/h
selectors: []
jwtSvidTtl: -1
`;
  const problems = problemsOf(text);
  const places = problems.map((line) => line.split(': ')[0]);
  assert.deepEqual(places, [
    ...['w.yaml:1:1', 'w.yaml:2:1', 'w.yaml:3:1', 'w.yaml:4:1', 'w.yaml:6:1', 'w.yaml:7:1'],
    ...['w.yaml:9:1', 'w.yaml:11:3', 'w.yaml:16:1', 'w.yaml:17:1'],
  ]);
  const has = (line: string) => assert.ok(problems.includes(line), `${line}\nin\n${problems.join('\n')}`);
  has('w.yaml:1:1: spiffeId is missing');
  has('w.yaml:2:1: unknown field "spiffeID"; did you mean "spiffeId"?');
  has('w.yaml:6:1: x509SvidTtl: must be a whole number of seconds');
  has('w.yaml:7:1: admin: must be true or false');
  has('w.yaml:9:1: kind must be Entry, MeasurementPolicy, ReferenceSet or HostGroup, not "Policy"');
  has('w.yaml:11:3: a manifest is a mapping that begins with kind: Entry, or another kind');
  has('w.yaml:16:1: selectors: at least one is needed');
  has('w.yaml:17:1: jwtSvidTtl: must be a whole number of seconds');
});

test('one bad entry does not hide a good one, but is not half read', () => {
  const { entries, problems } = readManifest('w.yaml', `${good}---\n${good}hint: 7\n`);
  assert.equal(entries.length, 1);
  assert.deepEqual(problems.map(formatProblem), ['w.yaml:10:1: hint: must be text']);
});

test('a file without any manifest is a problem', () => {
  for (const text of ['', '# nothing\n', '---\n---\n', '[]'])
    assert.deepEqual(problemsOf(text), ['w.yaml:1:1: holds no manifest'], text);
});

test('what has no kind is taken for an entry only if it has an ID', () => {
  assert.deepEqual(problemsOf('name: p\nsecureBoot: {}\n'), [
    'w.yaml:1:1: kind is missing: Entry, MeasurementPolicy, ReferenceSet or HostGroup',
  ]);
  assert.deepEqual(problemsOf(good.replace('kind: Entry\n', '')), ['w.yaml:1:1: kind is missing']);
});

test('a key that stands twice is a problem', () => {
  assert.match(problemsOf(`${good}hint: a\nhint: b\n`)[0] ?? '', /^w\.yaml:6:1: .*unique/);
});

test('broken YAML and JSON are reported where they break', () => {
  assert.match(problemsOf('kind: Entry\n  spiffeId: x\n')[0] ?? '', /^w\.yaml:[12]:\d+: /);
  assert.match(problemsOf('{"kind": "Entry",')[0] ?? '', /^w\.yaml:1:1\d: /);
  assert.match(problemsOf('just text')[0] ?? '', /^w\.yaml:1:1: a manifest is a mapping/);
});

test('aliases are refused, so that no bomb of them goes off', () => {
  const bomb = ['a0: &a0 [x,x,x,x,x,x,x,x,x]'];
  for (let level = 1; level < 30; level++)
    bomb.push(
      `a${level}: &a${level} [${Array(9)
        .fill(`*a${level - 1}`)
        .join(',')}]`,
    );
  const started = performance.now();
  const problems = problemsOf(bomb.join('\n'));
  assert.ok(performance.now() - started < 1_000);
  assert.match(problems[0] ?? '', /^w\.yaml:2:10: \*a0: write the value out; aliases are not read$/);
});

test('brackets without end are refused and not followed', () => {
  const problems = problemsOf('['.repeat(200_000));
  assert.match(problems[0] ?? '', /^w\.yaml:\d+:\d+: /);
});

test('names of JavaScript and tags of YAML mean nothing', () => {
  const { entries, problems } = readManifest('w.yaml', `${good}__proto__: {admin: true}\nconstructor: 1\n`);
  assert.deepEqual(entries, []);
  assert.deepEqual(
    problems.map(({ message }) => message.split(';')[0]),
    ['unknown field "__proto__"', 'unknown field "constructor"'],
  );
  assert.equal(readManifest('w.yaml', `${good}hint: !!binary aGk=\n`).entries.length, 0);
});

test('any text gives entries or problems, and never throws', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 200 }), fc.nat(200), (noise, at) => {
      const whole = `${good.slice(0, at % good.length)}${noise}${good.slice(at % good.length)}`;
      const { problems } = readManifest('w.yaml', whole);
      for (const { line, column } of problems) assert.ok(line >= 1 && column >= 1);
    }),
    { numRuns: 300, seed: 7 },
  );
});
