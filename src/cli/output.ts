/** Where a verb writes: data on stdout in the form that was asked for, everything else on stderr. */
export interface Output {
  readonly format: 'pretty' | 'json';
  /** The verb's result: `pretty` for people, as a function where it takes work to make, `json` for programs. */
  result(result: { pretty: string | (() => string); json: unknown }): void;
  /** Text as it is, for data that has only one form. */
  text(text: string): void;
  /** A remark for the person at the terminal. */
  note(text: string): void;
}

export function createOutput(
  format: 'pretty' | 'json',
  streams: { stdout: (text: string) => void; stderr: (text: string) => void },
): Output {
  return {
    format,
    result: ({ pretty, json }) => {
      const text = () => (typeof pretty === 'string' ? pretty : pretty());
      streams.stdout(format === 'json' ? `${jsonText(json)}\n` : withNewline(printableLines(text())));
    },
    text: (text) => streams.stdout(text),
    note: (text) => streams.stderr(withNewline(printableLines(text))),
  };
}

/** Columns, two spaces apart, each as wide as its widest cell. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [header, ...rows];
  const widths = header.map((_, column) => widest(all.map((row) => row[column] ?? '')));
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  return all.map(line).join('\n');
}

/** `Name : value` lines, aligned as SPIRE's commands print them. */
export function fields(rows: readonly (readonly [string, string])[]): string {
  const width = widest(rows.map(([name]) => name));
  return rows.map(([name, value]) => `${name.padEnd(width)} : ${value}`.trimEnd()).join('\n');
}

/** No spread into a call: as arguments, the cells of a long table overflow the stack. */
function widest(cells: readonly string[]): number {
  return cells.reduce((width, { length }) => Math.max(width, length), 0);
}

// C0, DEL, C1 and the characters that turn the direction of writing.
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to replace
const unprintable = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** Control characters out of hostile text would drive the terminal, and a line break would fake a row. */
export function printable(text: string): string {
  return text.replace(unprintable, escaped);
}

/** The same for text of several lines. Everything that is printed goes through here. */
export function printableLines(text: string): string {
  return text.replace(unprintable, (character) =>
    character === '\n' || character === '\t' ? character : escaped(character),
  );
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

function jsonText(value: unknown): string {
  return printableLines(JSON.stringify(value, bigintAsText, 2));
}

function withNewline(text: string): string {
  return text === '' || text.endsWith('\n') ? text : `${text}\n`;
}

function bigintAsText(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value;
}
