import type { Key } from './check.js';

/** A manual page in Markdown out of a daemon's table of keys, so that no key is undocumented. */
export function configPage(name: string, section: string, intro: string, keys: readonly Key[]): string {
  const rows = keys.map((key) => `### \`${key.path}\`\n\n${facts(key)}\n\n${key.doc}\n`);
  return `# ${name}(${section})\n\n${intro}\n\n${rows.join('\n')}`;
}

function facts(key: Key): string {
  const parts: string[] = [key.type];
  if (key.required) parts.push('required');
  if (key.choices) parts.push(`one of ${key.choices.map((choice) => `\`${choice}\``).join(', ')}`);
  if (key.min !== undefined || key.max !== undefined) parts.push(`${key.min ?? 0} to ${key.max ?? '…'}`);
  if (key.default !== undefined) parts.push(`default \`${JSON.stringify(key.default)}\``);
  return `*${parts.join('; ')}*`;
}
