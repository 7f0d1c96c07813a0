/** What the feed and the CRLs say, out of what was withdrawn. Pure. */
import type { DeniedNode } from '../../spiffe/deny-feed.js';
import type { SpiffeId } from '../../spiffe/id.js';
import { crlReason, type RevokedCertificate } from '../../x509/crl.js';
import { SERIAL_BYTES } from '../issuing/serial-blocks.js';
import type { WithdrawnSerials } from '../issuing/serials.js';
import type { WithdrawalRecord } from '../model.js';

export interface DeniedSerial {
  readonly serial: Buffer;
  /** Unix seconds. */
  readonly revokedAt: number;
}

export interface DeniedSerials {
  /** By the X.509 authority that signed. */
  readonly byAuthority: ReadonlyMap<string, readonly DeniedSerial[]>;
  /** How many did not fit. */
  readonly omitted: number;
}

/** So many fit; a list of this length is signed in a quarter of a second, and no relying party wants a longer one. */
export const MOST_SERIALS = 50_000;

export function deniedNodes(records: readonly WithdrawalRecord[]): DeniedNode[] {
  const nodes = records.map(({ nodeId: id, issuedBefore, until }) => ({
    id,
    issuedBefore: Math.ceil(issuedBefore / 1000),
    until: Math.ceil(until / 1000),
  }));
  return nodes.sort((a, b) => (a.id < b.id ? -1 : 1));
}

/**
 * The nodes with the fewest come first: whoever had thousands of SVIDs issued before it was found out crowds out nobody but itself.
 */
export function deniedSerials(blocks: readonly WithdrawnSerials[], most = MOST_SERIALS): DeniedSerials {
  const byNode = new Map<SpiffeId, WithdrawnSerials[]>();
  for (const block of blocks) byNode.set(block.node, [...(byNode.get(block.node) ?? []), block]);
  const nodes = [...byNode.values()].map((own) => ({
    own,
    total: own.reduce((sum, { count }) => sum + count, 0),
  }));
  nodes.sort((a, b) => a.total - b.total);
  const byAuthority = new Map<string, DeniedSerial[]>();
  let room = most;
  for (const { own } of nodes) {
    for (const block of own) {
      const list = byAuthority.get(block.authority) ?? [];
      byAuthority.set(block.authority, list);
      room -= append(list, block, room);
    }
  }
  const total = nodes.reduce((sum, node) => sum + node.total, 0);
  return { byAuthority, omitted: Math.max(0, total - most) };
}

function append(list: DeniedSerial[], { withdrawn, serials }: WithdrawnSerials, most: number): number {
  const bytes = serials(most);
  const revokedAt = Math.floor(withdrawn / 1000);
  for (let at = 0; at < bytes.length; at += SERIAL_BYTES) {
    list.push({ serial: bytes.subarray(at, at + SERIAL_BYTES), revokedAt });
  }
  return bytes.length / SERIAL_BYTES;
}

export function feedSerials({ byAuthority }: DeniedSerials): string[] {
  return [...byAuthority.values()].flatMap((list) => list.map(({ serial }) => serial.toString('hex'))).sort();
}

export function crlEntries({ byAuthority }: DeniedSerials, authority: string): RevokedCertificate[] {
  const reason = crlReason.privilegeWithdrawn;
  return (byAuthority.get(authority) ?? []).map(({ serial, revokedAt }) => ({ serial, revokedAt, reason }));
}
