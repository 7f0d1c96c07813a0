/** Where a verb writes: data on stdout in the form that was asked for, everything else on stderr. */
export interface Output {
  readonly format: 'pretty' | 'json';
  /** The verb's result: `pretty` for people, `json` for programs. */
  result(result: { pretty: string; json: unknown }): void;
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
      streams.stdout(format === 'json' ? `${JSON.stringify(json, bigintAsText, 2)}\n` : withNewline(pretty));
    },
    text: (text) => streams.stdout(text),
    note: (text) => streams.stderr(withNewline(text)),
  };
}

/** Columns, two spaces apart, each as wide as its widest cell. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  return all.map(line).join('\n');
}

/** `Name : value` lines, aligned as SPIRE's commands print them. */
export function fields(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(0, ...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)} : ${value}`.trimEnd()).join('\n');
}

/** Control characters out of hostile text would drive the terminal. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to remove
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}

function withNewline(text: string): string {
  return text === '' || text.endsWith('\n') ? text : `${text}\n`;
}

function bigintAsText(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value;
}
