import { makeSpiffeId, parseTrustDomain } from '../../spiffe/id.js';
import { formatSelector } from '../../spiffe/selector.js';
import type { Entry } from '../../wire/gen/spire/types_pb.js';
import type { EntryManifest } from '../entry-fields.js';

/** What has to be done so that the server has what the manifest says. */
export interface Plan {
  readonly create: readonly EntryManifest[];
  readonly update: readonly { id: string; manifest: EntryManifest; changes: readonly string[] }[];
  readonly unchanged: number;
}

/** An entry is the same one as long as identity, parent and selectors are; the rest may change. */
export function planEntries(manifests: readonly EntryManifest[], existing: readonly Entry[]): Plan {
  const byKey = new Map(existing.map((entry) => [keyOf(asManifest(entry)), entry]));
  const create: EntryManifest[] = [];
  const update: { id: string; manifest: EntryManifest; changes: string[] }[] = [];
  let unchanged = 0;
  for (const manifest of manifests) {
    const entry = byKey.get(keyOf(manifest));
    if (!entry) create.push(manifest);
    else {
      const changes = differences(asManifest(entry), manifest);
      if (changes.length === 0) unchanged++;
      else update.push({ id: entry.id, manifest, changes });
    }
  }
  return { create, update, unchanged };
}

/** Sentences about manifests that mean one entry and so would fight over it. */
export function declaredTwice(manifests: readonly EntryManifest[]): string[] {
  const seen = new Set<string>();
  return manifests.flatMap((manifest) => {
    const key = keyOf(manifest);
    if (!seen.has(key)) {
      seen.add(key);
      return [];
    }
    return [`${manifest.spiffeId} is declared twice with the same parent and selectors`];
  });
}

function keyOf(manifest: Pick<EntryManifest, 'spiffeId' | 'parentId' | 'selectors'>): string {
  const selectors = [...new Set(manifest.selectors.map(formatSelector))].sort();
  return JSON.stringify([manifest.spiffeId, manifest.parentId, selectors]);
}

function asManifest(entry: Entry): EntryManifest {
  const id = (part: Entry['spiffeId']) =>
    makeSpiffeId(parseTrustDomain(part?.trustDomain ?? ''), part?.path ?? '');
  return {
    spiffeId: id(entry.spiffeId),
    parentId: id(entry.parentId),
    selectors: entry.selectors,
    x509SvidTtl: entry.x509SvidTtl,
    jwtSvidTtl: entry.jwtSvidTtl,
    federatesWith: entry.federatesWith,
    dnsNames: entry.dnsNames,
    hint: entry.hint,
    admin: entry.admin,
    downstream: entry.downstream,
    storeSvid: entry.storeSvid,
    expiresAt: Number(entry.expiresAt),
    disableX509SvidPrefetch: entry.additionalAttributes?.disableX509SvidPrefetch ?? false,
    jwtSvidIncludeJti: entry.additionalAttributes?.jwtSvidIncludeJti ?? false,
  };
}

/** `x509SvidTtl: 0 -> 600`, one line for each field that differs. */
function differences(from: EntryManifest, to: EntryManifest): string[] {
  const ignored = new Set(['spiffeId', 'parentId', 'selectors']);
  return (Object.keys(from) as (keyof EntryManifest)[])
    .filter((name) => !ignored.has(name) && JSON.stringify(from[name]) !== JSON.stringify(to[name]))
    .map((name) => `${name}: ${JSON.stringify(from[name])} -> ${JSON.stringify(to[name])}`);
}
