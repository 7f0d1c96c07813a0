import { TouchmarkError } from '../errors.js';

/** One fact about a workload or a node: `{type: 'unix', value: 'uid:1000'}`, written `unix:uid:1000`. */
export interface Selector {
  readonly type: string;
  readonly value: string;
}

/** @throws TouchmarkError `selector_invalid` unless the text is `type:value` with both parts */
export function parseSelector(text: string): Selector {
  const colon = text.indexOf(':');
  if (colon < 1 || colon === text.length - 1) {
    throw new TouchmarkError('selector_invalid', `selector ${JSON.stringify(text)} is not type:value`);
  }
  return { type: text.slice(0, colon), value: text.slice(colon + 1) };
}

/** The written form; also the key under which selectors are compared. A type never holds a colon. */
export function formatSelector(selector: Selector): string {
  return `${selector.type}:${selector.value}`;
}
