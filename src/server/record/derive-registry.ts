import { createHash } from 'node:crypto';
import type { Entry } from '../../spiffe/entry.js';
import { formatSelector } from '../../spiffe/selector.js';
import type { AuthorityRecord, BundleRecord, JoinToken, Node } from '../model.js';
import type { Change } from './derive.js';
import { changedMembers, digestOf, draft, timeOf } from './draft.js';
import type { EventDraft } from './model.js';
import type { RecordEventName } from './names.js';

/** What a node is; serial numbers, ends and counters change with every renewal and are no event. */
const nodeFacts = ['attestationType', 'selectors', 'canReattest', 'hostId'] as const;

export function deriveNode({ key, before, after }: Change<Node>): EventDraft[] {
  const host = (after ?? before)?.hostId;
  if (after === undefined) return [draft('node_evicted', key, { host })];
  const facts = {
    host,
    attestation_type: after.attestationType,
    selectors: after.selectors.map(formatSelector),
    selectors_sha256: digestOf(after.selectors),
  };
  if (before === undefined) return [draft('node_attested', key, { ...facts, serial: after.serial })];
  const events: EventDraft[] = [];
  const changed = changedMembers(before, after, nodeFacts);
  if (changed.length > 0) events.push(draft('node_changed', key, { ...facts, changed }));
  if (before.banned !== after.banned) {
    events.push(draft(after.banned ? 'node_banned' : 'node_unbanned', key, { host }));
  }
  return events;
}

/** That one was used shows in `node_attested`. The key is the hash of the token, and of that the log holds a beginning only. */
export function deriveJoinToken({ key, before, after }: Change<JoinToken>): EventDraft[] {
  if (after === undefined || before !== undefined) return [];
  return [draft('join_token_made', key.slice(0, 16), { expires_at: timeOf(after.expiresAt * 1000) })];
}

export function deriveEntry({ key, before, after }: Change<Entry>): EventDraft[] {
  const entry = after ?? before;
  if (entry === undefined) return [];
  const fields = { spiffe_id: entry.spiffeId, parent_id: entry.parentId, sha256: digestOf(entry) };
  if (before === undefined) return [draft('entry_created', key, fields)];
  if (after === undefined) return [draft('entry_deleted', key, fields)];
  const members = Object.keys({ ...before, ...after }) as (keyof Entry)[];
  const changed = changedMembers(before, after, members).filter((name) => name !== 'revisionNumber');
  if (changed.length === 0) return [];
  return [draft('entry_updated', key, { ...fields, sha256_before: digestOf(before), changed })];
}

export function deriveAuthority({ before, after }: Change<AuthorityRecord>): EventDraft[] {
  const authority = after ?? before;
  if (authority === undefined) return [];
  const { id, purpose, slot } = authority;
  const fields = { purpose, slot, expires_at: timeOf(authority.expiresAt * 1000) };
  if (before === undefined) {
    const added = draft('authority_added', id, { ...fields, ...keyFields(authority) });
    return slot === 'active' ? [added, draft('authority_activated', id, fields)] : [added];
  }
  if (after === undefined) return [draft('authority_removed', id, fields)];
  const names: RecordEventName[] = [];
  if (before.slot !== after.slot)
    names.push(after.slot === 'active' ? 'authority_activated' : 'authority_retired');
  if (after.tainted && !before.tainted) names.push('authority_tainted');
  if (names.length === 0) names.push('authority_changed');
  return names.map((name) => draft(name, id, fields));
}

/** A JWT authority signs checkpoints: its public key stands in the log itself, so that they can be verified for ever. */
export function keyFields({ purpose, published }: AuthorityRecord): Record<string, string> {
  const sha256 = createHash('sha256').update(Buffer.from(published, 'base64')).digest('hex');
  return purpose === 'jwt' ? { spki: published } : { certificate_sha256: sha256 };
}

export function deriveBundle({ key, before, after }: Change<BundleRecord>): EventDraft[] {
  if (after === undefined) return [draft('bundle_deleted', key)];
  if (before !== undefined && digestOf(before) === digestOf(after)) return [];
  return [
    draft('bundle_set', key, {
      sequence: after.sequence,
      x509_authorities: String(after.x509Authorities.length),
      jwt_authorities: String(after.jwtAuthorities.length),
      sha256: digestOf(after),
    }),
  ];
}
