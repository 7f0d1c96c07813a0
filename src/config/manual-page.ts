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
  const unit = key.type === 'duration' ? ' s' : '';
  if (key.max !== undefined) parts.push(`${key.min ?? 0} to ${key.max}${unit}`);
  else if (key.min !== undefined) parts.push(`at least ${key.min}${unit}`);
  if (key.default !== undefined) parts.push(`default \`${JSON.stringify(key.default)}\``);
  return `*${parts.join('; ')}*`;
}
