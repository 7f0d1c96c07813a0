import assert from 'node:assert/strict';
import { test } from 'node:test';
import { program as agent } from '../../src/cli/agent/program.js';
import { verbHelp } from '../../src/cli/help.js';
import { findVerb, flagsOf, parseWords } from '../../src/cli/parse.js';
import { program as server } from '../../src/cli/server/program.js';
import { program as tools } from '../../src/cli/touchmark/program.js';
import type { Program } from '../../src/cli/verb.js';
import { type } from './type.js';

/** SPIRE's verbs with their flags; what has no place here is in the list of exceptions below. */
const spireServer: Record<string, string> = {
  run: 'config bindAddress serverPort dataDir socketPath trustDomain logFile logFormat logLevel expandEnv',
  validate:
    'config bindAddress serverPort dataDir socketPath trustDomain logFile logFormat logLevel expandEnv',
  healthcheck: 'shallow verbose',
  'token generate': 'ttl spiffeID',
  'entry create':
    'spiffeID parentID selector node x509SVIDTTL jwtSVIDTTL dns federatesWith admin downstream storeSVID hint entryID entryExpiry disableX509SVIDPrefetch jwtSVIDIncludeJTI data',
  'entry update':
    'spiffeID parentID selector x509SVIDTTL jwtSVIDTTL dns federatesWith admin downstream storeSVID hint entryID entryExpiry data',
  'entry show':
    'entryID parentID spiffeID selector matchSelectorsOn federatesWith matchFederatesWithOn downstream hint',
  'entry count':
    'parentID spiffeID selector matchSelectorsOn federatesWith matchFederatesWithOn downstream hint',
  'entry delete': 'entryID file',
  'agent list': 'selector matchSelectorsOn attestationType canReattest banned expiresBefore',
  'agent count': 'selector matchSelectorsOn attestationType canReattest banned expiresBefore',
  'agent show': 'spiffeID',
  'agent ban': 'spiffeID',
  'agent evict': 'spiffeID',
  'agent purge': 'expiredFor dryRun',
  'bundle show': 'format',
  'bundle list': 'id format',
  'bundle count': '',
  'bundle set': 'id path format',
  'bundle delete': 'id mode',
  'federation create':
    'trustDomain bundleEndpointURL bundleEndpointProfile endpointSpiffeID trustDomainBundlePath trustDomainBundleFormat',
  'federation update':
    'trustDomain bundleEndpointURL bundleEndpointProfile endpointSpiffeID trustDomainBundlePath trustDomainBundleFormat',
  'federation list': '',
  'federation show': 'trustDomain',
  'federation refresh': 'id',
  'federation delete': 'id',
  'x509 mint': 'spiffeID ttl dns write',
  'jwt mint': 'spiffeID ttl audience write',
  'wit mint': 'spiffeID ttl',
  'localauthority x509 show': '',
  'localauthority x509 prepare': '',
  'localauthority x509 activate': 'authorityID',
  'localauthority x509 taint': 'authorityID',
  'localauthority x509 revoke': 'authorityID',
  'localauthority jwt show': '',
  'localauthority jwt prepare': '',
  'localauthority jwt activate': 'authorityID',
  'localauthority jwt taint': 'authorityID',
  'localauthority jwt revoke': 'authorityID',
  'upstreamauthority taint': 'subjectKeyID',
  'upstreamauthority revoke': 'subjectKeyID',
  'logger get': '',
  'logger set': 'level',
  'logger reset': '',
  'debug getinfo': '',
};
const spireAgent: Record<string, string> = {
  run: 'config dataDir serverAddress serverPort socketPath trustDomain trustBundle trustBundleUrl trustBundleFormat joinToken joinTokenFile insecureBootstrap allowUnauthenticatedVerifiers logFile logFormat logLevel expandEnv',
  validate: 'config dataDir serverAddress serverPort socketPath trustDomain logLevel expandEnv',
  healthcheck: 'shallow verbose socketPath',
  'api fetch': 'silent write timeout socketPath',
  'api fetch x509': 'silent write timeout socketPath',
  'api fetch jwt': 'audience spiffeID timeout socketPath',
  'api validate jwt': 'audience svid timeout socketPath',
  'api watch': 'socketPath',
  'logger get': 'socketPath',
  'logger set': 'level socketPath',
  'logger reset': 'socketPath',
  'debug getinfo': 'socketPath',
};

for (const [program, table, common] of [
  [server, spireServer, ['socketPath', 'output']],
  [agent, spireAgent, []],
] as const) {
  test(`every verb and flag that SPIRE's users type is known to ${program.name}`, () => {
    for (const [name, flags] of Object.entries(table)) {
      const verb = program.verbs.find((row) => row.name === name);
      assert.ok(verb, name);
      const known = [...verb.flags.flatMap((flag) => [flag.name, ...(flag.aliases ?? [])]), 'output'];
      const refused = Object.keys(verb.refused ?? {});
      for (const flag of [...flags.split(' ').filter(Boolean), ...common])
        assert.ok(known.includes(flag) || refused.includes(flag), `${name} -${flag}`);
    }
  });
}

for (const program of [server, agent, tools]) {
  test(`every verb of ${program.name} has a sentence, documented flags and an example that it understands`, () => {
    for (const verb of program.verbs) {
      assert.match(verb.summary, /\.$/, verb.name);
      const words = exampleWords(program, verb.example);
      const found = findVerb(program, words);
      assert.equal(found.verb?.name, verb.name, verb.example);
      parseWords(verb, found.rest, {});
      const names = flagsOf(verb).flatMap((flag) => [flag.name, ...(flag.aliases ?? [])]);
      const twice = names.filter((name, index) => names.indexOf(name) !== index);
      assert.deepEqual(
        twice.filter((name) => name !== 'socketPath'),
        [],
        verb.name,
      );
      for (const flag of verb.flags) assert.match(flag.doc, /\.$/, `${verb.name} -${flag.name}`);
      assert.ok(verbHelp(program, verb).includes(`Example: ${verb.example}`));
    }
  });
}

test('a short name that a verb has for a flag of its own is not that of the common one beside it', () => {
  const verb = server.verbs.find(({ name }) => name === 'evidence export');
  assert.ok(verb);
  const { flags } = parseWords(verb, ['host', '-o', './out', '-output', 'json'], {});
  assert.deepEqual([flags.string('dir'), flags.string('output')], ['./out', 'json']);
  const help = verbHelp(server, verb);
  assert.match(help, /^ {2}-dir, -o string$/m);
  assert.match(help, /^ {2}-output string$/m);
});

/** The words after the program's name, without sudo and redirections. */
function exampleWords(program: Program, example: string): string[] {
  const words = example.match(/"[^"]*"|\S+/g) ?? [];
  const start = words[0] === 'sudo' ? 1 : 0;
  assert.equal(words[start], program.name, example);
  const end = words.findIndex((word) => word === '>' || word === '<' || word === '|');
  return words.slice(start + 1, end === -1 ? undefined : end);
}

test('a secret on the command line is refused with what to do instead', async () => {
  const { code, stderr, stdout } = await type(agent, ['run', '-joinToken', 'sesame']);
  assert.equal(code, 2);
  assert.equal(stdout, '');
  assert.equal(
    stderr,
    'touchmark-agent run: there is no -joinToken: others could read a secret on a command line: write the token to a file and give -joinTokenFile\nTry touchmark-agent run --help.\n',
  );
});

test('a socket that is not there is named, with what to do', async () => {
  const missing = '/nonexistent/touchmark.sock';
  const asked = await type(server, ['entry', 'show', '-socketPath', missing]);
  assert.equal(asked.code, 1);
  assert.match(
    asked.stderr,
    /^touchmark-server entry show: cannot reach a server at \/nonexistent\/touchmark\.sock: /,
  );
  assert.match(asked.stderr, /Start the server, or name its socket with -socketPath\.\n$/);
  const healthy = await type(agent, ['healthcheck', '-socketPath', missing]);
  assert.equal(healthy.code, 1);
  assert.match(healthy.stderr, /cannot reach an agent at \/nonexistent\/touchmark\.sock/);
  const address = await type(agent, ['api', 'fetch'], {
    environment: { SPIFFE_ENDPOINT_SOCKET: 'tcp://127.0.0.1:1' },
  });
  assert.equal(address.code, 2);
  assert.match(address.stderr, /tcp:\/\/127\.0\.0\.1:1 is not a Unix socket/);
});

test('an instance is a name in a template, and nothing else', async () => {
  const environment = { TOUCHMARK_SERVER_SOCKET_TEMPLATE: '/nonexistent/%i/api.sock' };
  const found = await type(server, ['bundle', 'count', '-instance', 'blue'], { environment });
  assert.match(found.stderr, /cannot reach a server at \/nonexistent\/blue\/api\.sock/);
  const hostile = await type(server, ['bundle', 'count', '-instance', '../x'], { environment });
  assert.equal(hostile.code, 2);
  assert.match(hostile.stderr, /-instance "\.\.\/x" is not the name of an instance/);
  const without = await type(agent, ['healthcheck', '-instance', 'blue']);
  assert.equal(without.code, 2);
  assert.match(without.stderr, /-instance needs \$TOUCHMARK_AGENT_SOCKET_TEMPLATE with %i in it/);
});
