import type { MessageInitShape } from '@bufbuild/protobuf';
import { TouchmarkError } from '../../errors.js';
import { parseJson } from '../../spiffe/json.js';
import type { EntrySchema } from '../../wire/gen/spire/types_pb.js';
import type { Flag, FlagValues, VerbContext } from '../verb.js';
import { idMessage, selectorMessages } from './connect.js';

export type EntryInit = MessageInitShape<typeof EntrySchema>;

/** Flags that say what an entry is, for `entry create` and `entry update`. */
export const entryFlags: readonly Flag[] = [
  { name: 'spiffeID', type: 'string', doc: 'The identity that the workload gets.' },
  { name: 'parentID', type: 'string', doc: 'The node, or node alias, that may hold it.' },
  { name: 'selector', type: 'strings', doc: 'What the workload must be, type:value.' },
  { name: 'x509SVIDTTL', type: 'duration', doc: 'Life of its X.509-SVIDs.' },
  { name: 'jwtSVIDTTL', type: 'duration', doc: 'Life of its JWT-SVIDs.' },
  { name: 'dns', type: 'strings', doc: 'A DNS name in its X.509-SVIDs.' },
  { name: 'federatesWith', type: 'strings', doc: 'A trust domain whose bundle it is given.' },
  { name: 'admin', type: 'boolean', doc: 'Its SVID may administer the server.' },
  { name: 'downstream', type: 'boolean', doc: 'It is a downstream server.' },
  { name: 'storeSVID', type: 'boolean', doc: 'Its SVIDs are meant for a store.' },
  { name: 'hint', type: 'string', doc: 'A word by which the workload knows what it is for.' },
  { name: 'entryExpiry', type: 'integer', doc: 'Unix seconds at which the entry is removed.' },
];

/** The entries of a command line: one from the flags, or all of `-data FILE`. */
export async function entriesOf(
  context: VerbContext,
  read: (path: string) => Promise<string>,
): Promise<EntryInit[]> {
  const { flags } = context;
  if (!flags.has('data')) return [entryFromFlags(flags)];
  const path = flags.string('data');
  const text = path === '-' ? await context.readStdin() : await read(path);
  const document = parseJson(text) as { entries?: unknown };
  const items = Array.isArray(document) ? document : document?.entries;
  if (!Array.isArray(items)) {
    throw new TouchmarkError('flag_invalid', `${path} holds no list of entries under "entries"`);
  }
  return items.map((item) => entryFromData(item as Record<string, unknown>));
}

export function entryFromFlags(flags: FlagValues): EntryInit {
  for (const name of ['spiffeID', 'parentID']) {
    if (!flags.has(name)) throw new TouchmarkError('flag_invalid', `-${name} is required`);
  }
  if (flags.strings('selector').length === 0) {
    throw new TouchmarkError('flag_invalid', 'at least one -selector is required');
  }
  return {
    id: flags.string('entryID'),
    spiffeId: idMessage(flags.string('spiffeID')),
    parentId: idMessage(flags.string('parentID')),
    selectors: selectorMessages(flags.strings('selector')),
    x509SvidTtl: flags.integer('x509SVIDTTL'),
    jwtSvidTtl: flags.integer('jwtSVIDTTL'),
    dnsNames: [...flags.strings('dns')],
    federatesWith: [...flags.strings('federatesWith')],
    admin: flags.boolean('admin'),
    downstream: flags.boolean('downstream'),
    storeSvid: flags.boolean('storeSVID'),
    hint: flags.string('hint'),
    expiresAt: BigInt(flags.integer('entryExpiry')),
    additionalAttributes: {
      disableX509SvidPrefetch: flags.boolean('disableX509SVIDPrefetch'),
      jwtSvidIncludeJti: flags.boolean('jwtSVIDIncludeJTI'),
    },
  };
}

/** One item of SPIRE's registration file: IDs as text, selectors as objects or text, names in snake_case. */
function entryFromData(item: Record<string, unknown>): EntryInit {
  const text = (name: string) => (typeof item[name] === 'string' ? (item[name] as string) : '');
  const number = (name: string) => (typeof item[name] === 'number' ? (item[name] as number) : 0);
  const texts = (name: string) => (Array.isArray(item[name]) ? (item[name] as unknown[]).map(String) : []);
  const selectors = Array.isArray(item['selectors']) ? (item['selectors'] as unknown[]) : [];
  return {
    id: text('entry_id') || text('id'),
    spiffeId: idMessage(text('spiffe_id')),
    parentId: idMessage(text('parent_id')),
    selectors: selectors.map((row) =>
      typeof row === 'string' ? (selectorMessages([row])[0] ?? {}) : (row as { type: string; value: string }),
    ),
    x509SvidTtl: number('x509_svid_ttl'),
    jwtSvidTtl: number('jwt_svid_ttl'),
    dnsNames: texts('dns_names'),
    federatesWith: texts('federates_with'),
    admin: item['admin'] === true,
    downstream: item['downstream'] === true,
    storeSvid: item['store_svid'] === true,
    hint: text('hint'),
    expiresAt: BigInt(number('entry_expiry') || number('expires_at')),
  };
}
