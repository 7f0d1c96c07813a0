// Writes the pages that are made from tables: `npm run docs`; `npm run docs:check` says whether they are up to date.
// Needs a build.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const load = (path) => import(join(root, 'dist', 'src', path));

const [
  { configPage },
  { serverKeys },
  { agentKeys },
  { errorTable },
  { verbHelp },
  { schemas },
  { reasonTable },
] = await Promise.all([
  load('config/manual-page.js'),
  load('config/server-keys.js'),
  load('config/agent-keys.js'),
  load('error-table.js'),
  load('cli/help.js'),
  load('measure/policy/schema/table.js'),
  load('measure/appraise/reasons.js'),
]);
const programs = await Promise.all(
  ['server', 'agent', 'touchmark'].map(async (name) => (await load(`cli/${name}/program.js`)).program),
);

function errorsPage() {
  const rows = Object.entries(errorTable)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([code, { rpc, remedy }]) => `| \`${code}\` | ${rpc} | ${remedy.replaceAll('|', '\\|')} |`);
  return [
    '# Errors',
    '',
    'Every failure that a user can meet has a stable code, a sentence that names what was wrong, and a remedy. Over gRPC the',
    'code travels as `google.rpc.ErrorInfo` (domain `touchmark`) in the status details; codes are never renamed and never reused.',
    '',
    '| code | gRPC status | what to do |',
    '|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}

function reasonsPage() {
  const rows = Object.entries(reasonTable)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([code, remedy]) => `| \`${code}\` | ${remedy.replaceAll('|', '\\|')} |`);
  return [
    '# Reasons',
    '',
    'Why a component of a host is not simply good: `host explain`, `policy simulate` and `evidence explain` tell them with the log entry that',
    'each points to. Codes are never renamed and never reused.',
    '',
    '| code | what to do |',
    '|---|---|',
    ...rows,
    '',
  ].join('\n');
}

function commandsPage(program) {
  const verbs = program.verbs.map(
    (verb) => `## ${verb.name}\n\n\`\`\`text\n${verbHelp(program, verb).trimEnd()}\n\`\`\`\n`,
  );
  return `# ${program.name}(1)\n\n${program.name} ${program.summary}\n\n${verbs.join('\n')}`;
}

const pages = {
  'errors.md': errorsPage(),
  'reasons.md': reasonsPage(),
  'man/server.conf.5.md': configPage(
    'touchmark-server.conf',
    '5',
    'The server reads `/etc/touchmark/server.toml`, in TOML. `touchmark-server validate` prints every problem at once.',
    serverKeys,
  ),
  'man/agent.conf.5.md': configPage(
    'touchmark-agent.conf',
    '5',
    'The agent reads `/etc/touchmark/agent.toml`, in TOML. `touchmark-agent validate` prints every problem at once.',
    agentKeys,
  ),
  ...Object.fromEntries(
    Object.entries(schemas).map(([kind, schema]) => [`schema/${kind}.json`, JSON.stringify(schema, null, 2)]),
  ),
  ...Object.fromEntries(programs.map((program) => [`man/${program.name}.1.md`, commandsPage(program)])),
};

let stale = 0;
for (const folder of ['man', 'schema']) mkdirSync(join(root, 'docs', folder), { recursive: true });
for (const [name, text] of Object.entries(pages)) {
  const path = join(root, 'docs', name);
  const whole = text.endsWith('\n') ? text : `${text}\n`;
  let before = '';
  try {
    before = readFileSync(path, 'utf8');
  } catch {}
  if (before === whole) continue;
  stale += 1;
  if (process.argv.includes('--check')) process.stderr.write(`docs/${name} is out of date: npm run docs\n`);
  else writeFileSync(path, whole);
}
process.exitCode = process.argv.includes('--check') && stale > 0 ? 1 : 0;
