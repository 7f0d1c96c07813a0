const MAX_FIELDS = 256;

/** The assignments of an os-release file (os-release(5)); what is no assignment is left out, the last one of a name wins. */
export function parseOsRelease(text: string): Record<string, string> {
  const fields = new Map<string, string>();
  for (const line of text.split('\n', 4 * MAX_FIELDS)) {
    const match = /^\s*([A-Za-z_][A-Za-z0-9_]{0,63})=(.*)$/.exec(line);
    if (match && fields.size < MAX_FIELDS) fields.set(match[1] ?? '', unquoted((match[2] ?? '').trim()));
  }
  return Object.fromEntries(fields);
}

/** Shell quoting as far as the format allows it: one pair of quotes around all, and backslashes. */
function unquoted(value: string): string {
  const quote = value[0];
  if (value.length < 2 || value.at(-1) !== quote) return value;
  if (quote === "'") return value.slice(1, -1);
  return quote === '"' ? value.slice(1, -1).replace(/\\(["$`\\])/g, '$1') : value;
}
