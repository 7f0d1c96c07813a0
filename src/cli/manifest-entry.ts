import { isScalar, type Node, type YAMLMap } from 'yaml';
import { messageOf } from '../errors.js';
import { nearest } from '../nearest.js';
import { type EntryManifest, entryFields, text } from './entry-fields.js';
import { type Complain, plain } from './manifest-value.js';

const fields: Readonly<Record<string, { read: (value: unknown) => unknown; missing?: unknown }>> = {
  kind: { read: text },
  ...entryFields,
};

/** One mapping of `kind: Entry`; nothing is added to `into` unless all of it is good. */
export function readEntry(map: YAMLMap, complain: Complain, into: EntryManifest[]): void {
  const start = map.range?.[0] ?? 0;
  let good = true;
  const bad: Complain = (offset, message) => {
    good = false;
    complain(offset, message);
  };
  const values = new Map<string, unknown>();
  const written = new Set<string>();
  for (const { key, value } of map.items) {
    const name = isScalar(key) ? String(key.value) : '';
    const offset = (key as Node).range?.[0] ?? start;
    written.add(name);
    readField(name, value, values, (message) => bad(offset, message));
  }
  for (const [name, { missing }] of Object.entries(fields)) {
    if (written.has(name)) continue;
    if (missing === undefined) bad(start, `${name} is missing`);
    values.set(name, missing);
  }
  values.delete('kind');
  if (good) into.push(Object.fromEntries(values) as unknown as EntryManifest);
}

function readField(
  name: string,
  value: unknown,
  into: Map<string, unknown>,
  bad: (message: string) => void,
): void {
  const field = Object.hasOwn(fields, name) ? fields[name] : undefined;
  if (!field) {
    bad(`unknown field ${JSON.stringify(name)}${nearest(name, Object.keys(fields))}`);
    return;
  }
  try {
    into.set(name, field.read(plain(value)));
  } catch (error) {
    bad(`${name}: ${messageOf(error)}`);
  }
}
