import type { SpiffeId, TrustDomain } from './id.js';
import { isInterpreter } from './interpreters.js';
import { formatSelector, type Selector } from './selector.js';

/** A registration entry: which workload of which node gets which identity. Times are Unix seconds, TTLs seconds; 0 means unset. */
export interface Entry {
  readonly id: string;
  readonly spiffeId: SpiffeId;
  readonly parentId: SpiffeId;
  /** Sorted by their written form, without repetition. */
  readonly selectors: readonly Selector[];
  readonly x509SvidTtl: number;
  readonly jwtSvidTtl: number;
  readonly federatesWith: readonly TrustDomain[];
  readonly admin: boolean;
  readonly downstream: boolean;
  readonly expiresAt: number;
  readonly dnsNames: readonly string[];
  /** Counts the changes of this entry, from 0. */
  readonly revisionNumber: number;
  readonly storeSvid: boolean;
  readonly hint: string;
  readonly createdAt: number;
  readonly disableX509SvidPrefetch: boolean;
  readonly jwtSvidIncludeJti: boolean;
}

/** The order in which selectors, IDs and keys are kept everywhere: by UTF-16 unit, the same on every machine. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Sorts by written form and drops repetitions: the order of `Entry.selectors`. */
export function canonicalSelectors(selectors: readonly Selector[]): Selector[] {
  const byForm = new Map(selectors.map((selector) => [formatSelector(selector), selector]));
  return [...byForm].sort(([a], [b]) => compareText(a, b)).map(([, selector]) => selector);
}

/** Two entries with the same key are the same registration: parent, SPIFFE ID and set of selectors. */
export function entryUniqueKey(entry: Pick<Entry, 'parentId' | 'spiffeId' | 'selectors'>): string {
  const selectors = canonicalSelectors(entry.selectors).map(formatSelector);
  return JSON.stringify([entry.parentId, entry.spiffeId, ...selectors]);
}

/**
 * The identities of a workload in the order in which it is told them; the first is the default. Sorted by entry ID. Of entries
 * with the same hint the one made first stays, then the one with the lower ID; the others are left out, as SPIRE's agent does.
 */
export function orderIdentities<E extends Pick<Entry, 'id' | 'hint' | 'createdAt'>>(
  entries: readonly E[],
): E[] {
  const holders = new Map<string, E>();
  for (const entry of entries) {
    const holder = holders.get(entry.hint);
    if (holder === undefined || isOlder(entry, holder)) holders.set(entry.hint, entry);
  }
  return entries
    .filter((entry) => entry.hint === '' || holders.get(entry.hint) === entry)
    .sort((a, b) => compareText(a.id, b.id));
}

function isOlder(a: Pick<Entry, 'id' | 'createdAt'>, b: Pick<Entry, 'id' | 'createdAt'>): boolean {
  return a.createdAt < b.createdAt || (a.createdAt === b.createdAt && compareText(a.id, b.id) < 0);
}

/** Selectors that speak of a file only: anybody may run it, with any arguments and environment. */
const fileOnly = ['unix:path:', 'unix:sha256:', 'binary:'];

/** Why an entry's selectors identify a file rather than a workload, or undefined when they say more. */
export function weakReason(selectors: readonly Selector[]): string | undefined {
  const forms = selectors.map(formatSelector);
  if (forms.length === 0 || !forms.every((form) => fileOnly.some((prefix) => form.startsWith(prefix))))
    return undefined;
  return `${forms.join(', ')}: any user may run that file; add a selector such as unix:uid or systemd:id`;
}

/** What somebody who makes or reads an entry is to know: that it is weak, or that it names an interpreter, which says little. */
export function weakRemark(selectors: readonly Selector[]): string | undefined {
  return weakReason(selectors) ?? interpreterRemark(selectors);
}

function interpreterRemark(selectors: readonly Selector[]): string | undefined {
  const named = selectors.find(
    ({ type, value }) => type === 'unix' && value.startsWith('path:') && isInterpreter(value),
  );
  return named && `${formatSelector(named)} is an interpreter: it does not say which program it runs`;
}

/**
 * SHA-256 digests, `sha256:<hex>`, that must be in the host's measured list before this entry is signed for; usually none.
 * `binary:measured:true` is a claim of the agent: whoever signs has to make it good.
 */
export function measuredDigests({ selectors }: Pick<Entry, 'selectors'>): readonly string[] {
  const binary = selectors.filter(({ type }) => type === 'binary').map(({ value }) => value);
  return binary.includes('measured:true') ? binary.filter((value) => value.startsWith('sha256:')) : [];
}

/** Whether an SVID may be fetched before a workload asks for it. */
export function mayPrefetch(entry: Pick<Entry, 'selectors' | 'disableX509SvidPrefetch'>): boolean {
  return !entry.disableX509SvidPrefetch && measuredDigests(entry).length === 0;
}

export function weakSelectors(entry: Pick<Entry, 'selectors'>): boolean {
  return weakReason(entry.selectors) !== undefined;
}
