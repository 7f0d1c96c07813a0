import { TouchmarkError } from '../../errors.js';
import type { Entry } from '../../spiffe/entry.js';
import type { TrustDomain } from '../../spiffe/id.js';
import type { Selector } from '../../spiffe/selector.js';
import type { EntryMask, Entry as WireEntry } from '../../wire/gen/spire/types_pb.js';
import { trustDomainFromWire } from '../../wire/id.js';
import { masked } from '../../wire/mask.js';
import type { EntryDraft } from '../entries/entries.js';
import { memberFromWire } from './fields.js';

/** What an operator asks for in BatchCreateEntry. */
export function draftFromWire(wire: WireEntry, domain: TrustDomain): EntryDraft {
  return { id: wire.id, ...fieldsFromWire(wire, domain, undefined, undefined) };
}

/** What BatchUpdateEntry makes of an entry: the fields of the mask from the request, the others as they are. */
export function changeFromWire(
  wire: WireEntry,
  domain: TrustDomain,
  mask: EntryMask | undefined,
): (before: Entry) => EntryDraft {
  if (wire.id === '') throw new TouchmarkError('argument_invalid', 'entry.id is empty');
  return (before) => ({ id: wire.id, ...fieldsFromWire(wire, domain, mask, before) });
}

/** Field by field: from the request where the mask says so, else from `before`. */
function fieldsFromWire(
  wire: WireEntry,
  domain: TrustDomain,
  mask: EntryMask | undefined,
  before: Entry | undefined,
): Omit<EntryDraft, 'id'> {
  const take = <T>(
    field: Exclude<keyof EntryMask, '$typeName' | '$unknown'>,
    old: T | undefined,
    read: () => T,
  ): T => (old === undefined || masked(mask, field) ? read() : old);
  const more = 'additionalAttributes';
  return {
    spiffeId: take('spiffeId', before?.spiffeId, () =>
      memberFromWire('entry.spiffe_id', wire.spiffeId, domain),
    ),
    parentId: take('parentId', before?.parentId, () =>
      memberFromWire('entry.parent_id', wire.parentId, domain),
    ),
    selectors: take('selectors', before?.selectors, () => selectorsFromWire(wire)),
    x509SvidTtl: take('x509SvidTtl', before?.x509SvidTtl, () => wire.x509SvidTtl),
    jwtSvidTtl: take('jwtSvidTtl', before?.jwtSvidTtl, () => wire.jwtSvidTtl),
    federatesWith: take('federatesWith', before?.federatesWith, () =>
      wire.federatesWith.map((name) => trustDomainFromWire(name, 'entry.federates_with')),
    ),
    admin: take('admin', before?.admin, () => wire.admin),
    downstream: take('downstream', before?.downstream, () => wire.downstream),
    expiresAt: take('expiresAt', before?.expiresAt, () => Number(wire.expiresAt)),
    dnsNames: take('dnsNames', before?.dnsNames, () => [...wire.dnsNames]),
    storeSvid: take('storeSvid', before?.storeSvid, () => wire.storeSvid),
    hint: take('hint', before?.hint, () => wire.hint),
    disableX509SvidPrefetch: take(
      more,
      before?.disableX509SvidPrefetch,
      () => wire.additionalAttributes?.disableX509SvidPrefetch === true,
    ),
    jwtSvidIncludeJti: take(
      more,
      before?.jwtSvidIncludeJti,
      () => wire.additionalAttributes?.jwtSvidIncludeJti === true,
    ),
  };
}

function selectorsFromWire(wire: WireEntry): Selector[] {
  return wire.selectors.map(({ type, value }) => ({ type, value }));
}
