import { messageOf, TouchmarkError } from '../../errors.js';
import { nearest } from '../../nearest.js';
import { parseJson } from '../../spiffe/json.js';
import { type EntryManifest, entryFields, text } from '../entry-fields.js';
import { type EntryInit, entryMessage } from './entry-message.js';

/** The names in SPIRE's registration files, and those of its API, for our fields. */
const names: Readonly<Record<string, keyof EntryManifest>> = {
  spiffe_id: 'spiffeId',
  parent_id: 'parentId',
  selectors: 'selectors',
  x509_svid_ttl: 'x509SvidTtl',
  jwt_svid_ttl: 'jwtSvidTtl',
  federates_with: 'federatesWith',
  dns_names: 'dnsNames',
  hint: 'hint',
  admin: 'admin',
  downstream: 'downstream',
  store_svid: 'storeSvid',
  entry_expiry: 'expiresAt',
  expires_at: 'expiresAt',
  disable_x509_svid_prefetch: 'disableX509SvidPrefetch',
  jwt_svid_include_jti: 'jwtSvidIncludeJti',
};
const idNames = ['entry_id', 'id'];
/** What the server counts by itself; files made from its answers carry it. */
const ignored = ['revision_number', 'created_at'];

const MAX_LENGTH = 64 * 1024 * 1024;

/**
 * The file of `entry create -data`: {"entries": [...]} or the list alone.
 * @throws TouchmarkError `data_invalid` with every problem, `json_invalid`
 */
export function readEntryData(file: string, source: string): EntryInit[] {
  const document = parseJson(source, { maxLength: MAX_LENGTH }) as { entries?: unknown };
  const items = Array.isArray(document) ? document : document?.entries;
  if (!Array.isArray(items))
    throw new TouchmarkError('data_invalid', `${file} holds no list of entries under "entries"`);
  const problems: string[] = [];
  const entries = items.map((item, index) =>
    readItem(item, (where, message) => problems.push(`${file}: entries[${index}]${where}: ${message}`)),
  );
  if (problems.length > 0) throw new TouchmarkError('data_invalid', problems.join('\n'));
  return entries;
}

function readItem(item: unknown, complain: (where: string, message: string) => void): EntryInit {
  if (typeof item !== 'object' || item === null || Array.isArray(item)) {
    complain('', 'an entry is an object');
    return {};
  }
  let id = '';
  const values: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(item)) {
    const field = Object.hasOwn(names, name) ? names[name] : undefined;
    try {
      if (field) values[field] = entryFields[field].read(value);
      else if (idNames.includes(name)) id = text(value) as string;
      else if (!ignored.includes(name)) complain(`.${name}`, `unknown${nearest(name, Object.keys(names))}`);
    } catch (error) {
      complain(`.${name}`, messageOf(error));
      if (field) values[field] = undefined;
    }
  }
  for (const [field, { missing }] of Object.entries(entryFields)) {
    if (Object.hasOwn(values, field)) continue;
    if (missing === undefined) complain('', `${snake(field)} is missing`);
    values[field] = missing;
  }
  const whole = ['spiffeId', 'parentId', 'selectors', 'federatesWith', 'dnsNames', 'expiresAt'];
  if (whole.some((field) => values[field] === undefined)) return {};
  return entryMessage(id, values as unknown as EntryManifest);
}

function snake(field: string): string {
  return Object.keys(names).find((name) => names[name] === field) ?? field;
}
