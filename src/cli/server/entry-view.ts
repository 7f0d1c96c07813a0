import { weakRemark } from '../../spiffe/entry.js';
import { formatSelector } from '../../spiffe/selector.js';
import type { Entry } from '../../wire/gen/spire/types_pb.js';
import { fields, printable } from '../output.js';
import { idText, timeText } from './connect.js';

/** An entry as SPIRE's users know it. */
export function entryText(entry: Entry): string {
  const ttl = (seconds: number) => (seconds === 0 ? 'default' : String(seconds));
  const weak = weakRemark(entry.selectors);
  const rows: [string, string][] = [
    ['Entry ID', entry.id],
    ['SPIFFE ID', idText(entry.spiffeId)],
    ['Parent ID', idText(entry.parentId)],
    ['Revision', String(entry.revisionNumber)],
    ['X509-SVID TTL', ttl(entry.x509SvidTtl)],
    ['JWT-SVID TTL', ttl(entry.jwtSvidTtl)],
    ...entry.selectors.map((selector): [string, string] => ['Selector', printable(formatSelector(selector))]),
    ...(weak === undefined ? [] : [['Weak', printable(weak)] as [string, string]]),
    ...entry.federatesWith.map((domain): [string, string] => ['FederatesWith', domain]),
    ...entry.dnsNames.map((name): [string, string] => ['DNS name', name]),
    ...(entry.expiresAt > 0n ? [['Expiration time', timeText(entry.expiresAt)] as [string, string]] : []),
    ...(entry.admin ? [['Admin', 'true'] as [string, string]] : []),
    ...(entry.downstream ? [['Downstream', 'true'] as [string, string]] : []),
    ...(entry.storeSvid ? [['StoreSvid', 'true'] as [string, string]] : []),
    ...(entry.hint !== '' ? [['Hint', printable(entry.hint)] as [string, string]] : []),
  ];
  return fields(rows);
}

export function entriesText(heading: string, entries: readonly Entry[]): string {
  return [heading, ...entries.map(entryText)].join('\n\n');
}

/** `1 entry`, `2 entries`. */
export function count(number: number, one: string, many: string): string {
  return `${number} ${number === 1 ? one : many}`;
}
