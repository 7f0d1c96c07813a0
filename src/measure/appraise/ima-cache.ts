import type { ReasonCode } from './reasons.js';

/** What a policy says of one entry, wherever in a list it stands. */
export interface EntryVerdict {
  /** Why it is not accepted; empty: it is. */
  readonly code: ReasonCode | '';
  readonly excluded: boolean;
  readonly kind: 'file' | 'aggregate' | 'kexec';
  /** For reasons; empty for an accepted file, so that long lists stay small. */
  readonly path: string;
  readonly digest: string;
  /** Why it could not be read, or the command line given to kexec. */
  readonly text: string;
  /** Key of a measured file, see is-measured.ts; empty: it is none. */
  readonly measured: string;
  /** What the list must show as its template digest (SHA-1), one character per byte. */
  readonly listDigest: string;
  /** Whether it measured accepted IMA rules. */
  readonly rules: boolean;
  /** Paths of references of the agent's files that it answers to. */
  readonly agent: readonly string[];
}

/**
 * Entries of a fleet are nearly all the same, so each distinct one is read and judged once. The key is the template digest
 * that we computed from the data; the template's name is not measured, and so is part of the key.
 */
export interface EntryCache {
  get(template: string, key: string): EntryVerdict | undefined;
  set(template: string, key: string, verdict: EntryVerdict): void;
}

/** A hostile host can show any number of distinct entries. */
const MAX_ENTRIES = 131_072;
/** Other names are a host's own formats: they are read each time. */
const cachedTemplates = new Set([
  'ima',
  'ima-ng',
  'ima-sig',
  'ima-buf',
  'ima-ngv2',
  'ima-sigv2',
  'ima-modsig',
]);

export function entryCache(): EntryCache {
  const byTemplate = new Map<string, Map<string, EntryVerdict>>();
  let size = 0;
  return {
    get: (template, key) => byTemplate.get(template)?.get(key),
    set: (template, key, verdict) => {
      if (!cachedTemplates.has(template)) return;
      if (size >= MAX_ENTRIES) {
        byTemplate.clear();
        size = 0;
      }
      const entries = byTemplate.get(template) ?? new Map<string, EntryVerdict>();
      byTemplate.set(template, entries.set(key, verdict));
      size++;
    },
  };
}
