/** Text that is HTML already. Made by `html` only, so that nothing reaches a page without being escaped. */
export interface Html {
  readonly markup: string;
}

type Part = Html | string | number | undefined | readonly (Html | string)[];

const escapes: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** A template whose parts are escaped, unless they are `Html`. Parts stand in text or in quoted attributes, nowhere else. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  let markup = strings[0] ?? '';
  for (const [index, part] of parts.entries()) markup += written(part) + (strings[index + 1] ?? '');
  return { markup };
}

function written(part: Part): string {
  if (part === undefined) return '';
  if (typeof part === 'string') return escapeHtml(part);
  if (typeof part === 'number') return String(part);
  if (isList(part)) return part.map(written).join('');
  return part.markup;
}

function isList(part: Html | readonly (Html | string)[]): part is readonly (Html | string)[] {
  return Array.isArray(part);
}

/** Also what nobody sees but what changes what is seen: control characters, and those that turn the direction. */
export function escapeHtml(text: string): string {
  return text
    .replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`)
    .replace(/[&<>"']/g, (character) => escapes[character] ?? '');
}
