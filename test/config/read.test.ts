import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { loadAgentConfig, loadServerConfig } from '../../src/config/load.js';
import { formatProblem } from '../../src/config/problem.js';
import { readDocument } from '../../src/config/read.js';
import { nearest } from '../../src/nearest.js';

const at = (text: string, path: string) => {
  const { document } = readDocument('f', text);
  const place = document?.positions.get(path);
  return place ? `${place.line}:${place.column}` : undefined;
};

test('keys are found in tables, lists of tables, quotes and after Windows line ends', () => {
  const text =
    'a = 1\r\n[ t ]\r\n  "b" = 2\r\n[[list]]\r\nc = 3\r\n[[list]]\r\n\tc = 4\r\n[x.y]\r\nz = 5\r\n';
  assert.deepEqual(
    ['a', 't', 't.b', 'list.0.c', 'list.1.c', 'x.y.z'].map((path) => at(text, path)),
    ['1:1', '2:1', '3:3', '5:1', '7:2', '9:1'],
  );
});

test('a key inside an inline table is told by its line', () => {
  const { problems } = loadServerConfig('s', 'trust_domain = "a"\nsvid = { x509_ttl = "soon" }\n');
  assert.deepEqual(problems.map(formatProblem), ['s:2:1: svid.x509_ttl: must be a duration such as "1h30m"']);
});

test('a dotted key is the key that it names', () => {
  const { config } = loadServerConfig('s', 'trust_domain = "a"\nlog.level = "debug"\n');
  assert.equal(config?.log.level, 'debug');
});

test('values of types that no key has are refused', () => {
  const text = 'trust_domain = 2020-01-01\nbind_port = inf\n[log]\nlevel = ["info"]\n';
  assert.deepEqual(loadServerConfig('s', text).problems.map(formatProblem), [
    's:1:1: trust_domain: must be a string',
    's:2:1: bind_port: must be a whole number',
    's:4:1: log.level: must be a string',
  ]);
});

test('names of JavaScript are unknown keys like any other', () => {
  const { problems } = loadServerConfig('s', 'trust_domain = "a"\nconstructor = 1\n"__proto__" = 2\n');
  assert.deepEqual(problems.map(({ line, message }) => `${line} ${message.split(';')[0]}`).sort(), [
    '2 constructor: unknown key',
    '3 __proto__: unknown key',
  ]);
});

test('a key that is written twice is a problem', () => {
  const { problems } = readDocument('s', 'a = 1\na = 2\n');
  assert.equal(problems[0]?.line, 2);
});

test('any text gives a configuration or problems with places, and never throws', () => {
  const good = 'trust_domain = "example.org"\nserver_address = "s"\n[log]\nlevel = "info"\n';
  fc.assert(
    fc.property(fc.string({ maxLength: 120 }), fc.nat(good.length), (noise, where) => {
      const text = good.slice(0, where) + noise + good.slice(where);
      for (const load of [loadServerConfig, loadAgentConfig]) {
        const { config, problems } = load('f', text);
        assert.equal(config === undefined, problems.length > 0);
        for (const { line, column } of problems) assert.ok(line >= 1 && column >= 1);
      }
    }),
    { numRuns: 500, seed: 11 },
  );
});

test('a slip of the keyboard is answered with the nearest name, a stranger with none', () => {
  const names = ['trust_domain', 'data_dir', 'log.level'];
  assert.equal(nearest('trust_domian', names), '; did you mean "trust_domain"?');
  assert.equal(nearest('data-dir', names), '; did you mean "data_dir"?');
  assert.equal(nearest('completely_else', names), '');
  assert.equal(nearest('', names), '');
});
