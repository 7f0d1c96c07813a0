import { flagsOf } from './parse.js';
import type { Flag, Program, Verb } from './verb.js';

/** The list of a program's verbs, or of those that begin with the words typed. */
export function programHelp(program: Program, prefix = ''): string {
  const verbs = program.verbs.filter((verb) => prefix === '' || verb.name.startsWith(`${prefix} `));
  const width = Math.max(...verbs.map((verb) => verb.name.length));
  const rows = verbs.map((verb) => `  ${verb.name.padEnd(width)}  ${verb.summary}`);
  return [
    `${program.name}: ${program.summary}`,
    '',
    `Usage: ${program.name} <verb> [flags]`,
    '',
    ...rows,
    '',
    `${program.name} <verb> --help shows a verb's flags and an example; ${program.name} --version the version.`,
    '',
  ].join('\n');
}

export function verbHelp(program: Program, verb: Verb): string {
  const args = (verb.args ?? []).map((row) => (row.optional ? `[${row.name}]` : row.name));
  const usage = [program.name, verb.name, '[flags]', ...args].join(' ');
  const flags = flagsOf(verb);
  return [
    verb.summary,
    '',
    `Usage: ${usage}`,
    '',
    ...(verb.args ?? []).map((row) => `  ${row.name}\n        ${row.doc}`),
    ...flags.map(flagHelp),
    '',
    `Example: ${verb.example}`,
    '',
  ].join('\n');
}

function flagHelp(flag: Flag): string {
  const names = [flag.name, ...(flag.aliases ?? [])].map((name) => `-${name}`).join(', ');
  const facts = [
    ...(flag.required ? ['required'] : []),
    ...(flag.type === 'strings' ? ['may be repeated'] : []),
    ...(flag.default !== undefined && flag.default !== '' ? [`default ${flag.default}`] : []),
    ...(flag.env ?? []).map((name) => `or $${name}`),
  ];
  const type = flag.type === 'boolean' ? '' : ` ${flag.type === 'strings' ? 'string' : flag.type}`;
  return `  ${names}${type}\n        ${flag.doc}${facts.length > 0 ? ` (${facts.join('; ')})` : ''}`;
}
