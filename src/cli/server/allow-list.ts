import { TouchmarkError } from '../../errors.js';

export interface AllowedRow {
  readonly ekHash: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

/**
 * A list of chips: a line is a hash, then an optional name, then labels key=value; # begins a remark.
 * @throws TouchmarkError `data_invalid` with every bad line
 */
export function readAllowList(file: string, text: string): AllowedRow[] {
  const problems: string[] = [];
  const rows = text.split('\n').flatMap((line, index) => {
    const words = line.replace(/#.*/, '').trim().split(/\s+/).filter(Boolean);
    if (words.length === 0) return [];
    const [ekHash = '', ...rest] = words;
    if (!/^[0-9a-f]{64}$/i.test(ekHash)) {
      problems.push(`${file}:${index + 1}:1: ${JSON.stringify(ekHash)} is not the hex SHA-256 of a key`);
    }
    const labels = rest.filter((word) => word.includes('='));
    const names = rest.filter((word) => !word.includes('='));
    if (names.length > 1) problems.push(`${file}:${index + 1}:1: more than one name: ${names.join(' ')}`);
    for (const word of labels.filter((label) => label.startsWith('=')))
      problems.push(`${file}:${index + 1}:1: ${JSON.stringify(word)} is not key=value`);
    return [
      { ekHash: ekHash.toLowerCase(), name: names[0] ?? '', labels: Object.fromEntries(labels.map(pair)) },
    ];
  });
  if (problems.length > 0) throw new TouchmarkError('data_invalid', problems.join('\n'));
  return rows;
}

function pair(word: string): [string, string] {
  const equals = word.indexOf('=');
  return [word.slice(0, equals), word.slice(equals + 1)];
}
