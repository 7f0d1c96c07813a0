import { TouchmarkError } from '../../errors.js';
import { readText } from '../read-file.js';
import type { Flag, FlagValues, VerbContext } from '../verb.js';
import { idMessage, selectorMessages } from './connect.js';
import { readEntryData } from './entry-data.js';
import type { EntryInit } from './entry-message.js';

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
export async function entriesOf(context: VerbContext): Promise<EntryInit[]> {
  const { flags } = context;
  if (!flags.has('data')) return [entryFromFlags(flags)];
  const path = flags.string('data');
  return readEntryData(path, await readText(context, path));
}

function entryFromFlags(flags: FlagValues): EntryInit {
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
